import numpy as np
from tests.support import example

from kizu.decision.calibration import Thresholds
from kizu.decision.thresholds import mean_sigma, quantile
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
    assert report["thresholds"]["rule"] == "conformal@0.05"


def test_the_report_names_a_quantile_that_thresholds_were_set_by() -> None:
    manifest = example().manifest
    image = quantile(np.arange(5.0), 0.995)
    thresholds = Thresholds(image=image, pixel=mean_sigma(np.arange(5.0), 3)).out_of(5)
    told = Tally().report(manifest.model_copy(update={"thresholds": thresholds}))["thresholds"]
    assert (told["quantile_image"], told["quantile_pixel"]) == (0.995, None)
    assert told["rule"] == "quantile@0.995, out of 5 folds"
    assert told["pixel_rule"] == "mean+3sigma, out of 5 folds"


def test_without_predictions_there_are_zeros_and_no_scores() -> None:
    report = Tally().report(example().manifest)
    assert (report["num_images"], report["ng_rate"], report["ok_rate"]) == (0, 0.0, 0.0)
    assert report["defect_stats"] is None
    assert "score_stats" not in report
