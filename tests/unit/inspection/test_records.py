from tests.support import example

from kizu.inspection.records import Tally


def line(score: float, areas: list[int], ng: bool) -> dict:
    return {
        "pred_score": score,
        "is_anomaly": ng,
        "num_defects": len(areas),
        "total_defect_area": sum(areas),
        "defects": [{"area": area} for area in areas],
    }


def test_the_report_adds_up() -> None:
    total = Tally()
    for record in (line(1.0, [], False), line(3.0, [4, 6], True), line(5.0, [2], True), {"error": "broken"}):
        total.add(record)
    report = total.report(example().manifest)
    assert (report["num_images"], report["num_ok"], report["num_ng"], report["num_errors"]) == (3, 1, 2, 1)
    assert report["score_stats"] == {"min": 1.0, "max": 5.0, "mean": 3.0}
    assert report["defect_stats"] == {
        "total_defects": 3,
        "avg_defects_per_ng": 1.5,
        "max_defect_area": 6,
        "avg_total_defect_area": 6.0,
    }
    assert report["thresholds"]["image_threshold"] == 1.5
    assert report["thresholds"]["quantile_image"] is None


def test_without_predictions_there_are_zeros_and_no_scores() -> None:
    report = Tally().report(example().manifest)
    assert (report["num_images"], report["ng_rate"], report["ok_rate"]) == (0, 0.0, 0.0)
    assert report["defect_stats"] is None
    assert "score_stats" not in report
