"""`report.json`: the bytes of before, and no report that does not add up."""

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tests.support import example

from kizu.core.errors import ConfigError
from kizu.core.split import Split
from kizu.decision.calibration import Thresholds
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds
from kizu.inspection.records import schema
from kizu.inspection.report import Report, ReportThresholds
from kizu.inspection.tally import Tally

WRITTEN = """{
  "model": "padim",
  "category": "hazelnut",
  "run_id": "r0",
  "thresholds": {
    "image_threshold": 125.01058959960938,
    "pixel_threshold": 134.3599853515625,
    "quantile_image": null,
    "quantile_pixel": null,
    "rule": "conformal@0.25",
    "pixel_rule": "conformal@0.25",
    "count": 3,
    "false_alarm_rate": 0.25
  },
  "num_images": 23,
  "num_ok": 5,
  "num_ng": 18,
  "num_errors": 0,
  "ng_rate": 0.782608695652174,
  "ok_rate": 0.21739130434782608,
  "score_stats": {
    "min": 104.66466522216797,
    "max": 257.6917419433594,
    "mean": 192.43614196777344
  },
  "defect_stats": {
    "total_defects": 40,
    "avg_defects_per_ng": 2.2222222222222223,
    "max_defect_area": 34966,
    "avg_total_defect_area": 23696.555555555555
  },
  "created_at": "2026-11-26T14:37:09Z"
}"""


def threshold(value: float, rule: str = "quantile@0.995") -> Threshold:
    return Threshold(value=value, rule=rule, split=Split.CALIBRATION, count=19)


def test_a_report_that_was_written_before_is_read_and_written_as_it_was() -> None:
    read = Report.parse(json.loads(WRITTEN), where="report.json")
    assert json.dumps(read.as_json(), indent=2) == WRITTEN
    Draft202012Validator(schema("report")).validate(read.as_json())


def test_a_report_is_written_with_the_keys_and_the_order_of_always() -> None:
    written = Tally().report(example().manifest).as_json()
    before = json.loads(WRITTEN)
    new = ["outcomes", "num_superseded"]
    assert list(written) == [key for key in before if key != "score_stats"] + new
    assert list(written["thresholds"]) == list(before["thresholds"])


def test_the_level_of_a_quantile_rule_is_given_for_either_threshold() -> None:
    said = ReportThresholds.of(Thresholds(image=threshold(1.0), pixel=threshold(2.0, "maximum")))
    assert (said.quantile_image, said.quantile_pixel) == (0.995, None)
    assert (said.rule, said.pixel_rule) == ("quantile@0.995", "maximum")
    assert said.false_alarm_rate is None


def test_zones_are_rows_from_the_top_and_come_first() -> None:
    zones = ZoneThresholds(grid=(2, 3), zones=tuple(threshold(float(value)) for value in range(6)))
    said = ReportThresholds.of(Thresholds(image=threshold(1.0), pixel=threshold(2.0), zones=zones)).as_json()
    assert said["pixel_threshold_zones"] == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
    assert next(iter(said)) == "pixel_threshold_zones"
    report = {**json.loads(WRITTEN), "thresholds": said}
    Draft202012Validator(schema("report")).validate(report)
    assert Report.parse(report, where="report.json").as_json() == report


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"num_ok": 4}, "4 OK and 18 NG are not 23 images"),
        ({"defect_stats": None}, "there where there are images"),
        ({"num_ok": 0, "num_ng": 0, "num_images": 0}, "only there"),
        ({"score_stats": None}, "left out, not null"),
        ({"ng_rate": 1.1}, "ng_rate"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"unheard_of": 1}, "unknown key"),
    ],
)
def test_a_report_that_does_not_add_up_is_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Report.parse({**json.loads(WRITTEN), **change}, where="report.json")
