import numpy as np
import pytest

from kizu.core.errors import DataError, ScoreError
from kizu.metrics.suite import METRICS, ROWS, evaluate

LABELS = np.array([False, True, False, True])
SCORES = np.array([1, 4, 2, 3], np.float32)
MASKS = [np.zeros((4, 4), bool), np.eye(4, dtype=bool), np.zeros((3, 5), bool), np.eye(3, 5, dtype=bool)]
MAPS = [mask.astype(np.float32) for mask in MASKS]
KEYS = [
    row.key for row in METRICS if row.key != "aupimo"
]  # which so few pixels cannot tell: it has its own tests
PIXEL_KEYS = [key for key in KEYS if not key.startswith("image_")]
PIXEL_DECISIONS = [f"pixel_{name}" for name in ("f1", "dice", "iou", "precision", "recall")] + ["seg_f1"]
NEED_GOOD_PIXELS = [key for key in PIXEL_KEYS if key != "pixel_recall"]
DECISIONS = ["f1", "precision", "recall", "accuracy", "specificity", "escape_rate", "overkill_rate"]


def run(**changes):
    given = {"image_threshold": 2.5, "maps": MAPS, "masks": MASKS, "pixel_threshold": 0.5} | changes
    result = evaluate(given.pop("labels", LABELS), given.pop("scores", SCORES), **given)
    assert result.values.pop("aupimo") is None
    assert result.reasons.pop("aupimo")
    return result


def test_a_perfect_scorer_gets_perfect_numbers():
    result = run()
    assert result.reasons == {}
    lowest = {"image_escape_rate", "image_overkill_rate", "image_fpr_at_95_tpr"}
    assert result.values == {key: 0.0 if key in lowest else 1.0 for key in KEYS}
    assert {type(value) for value in result.values.values()} == {float}


def test_each_metric_says_whether_low_or_high_is_better():
    """What finds everything against what finds the opposite: one of them is better by every metric."""
    best = run().values
    worst = run(scores=-SCORES, image_threshold=-2.5, maps=[-m for m in MAPS], pixel_threshold=-0.5).values
    for row in METRICS:
        if row.key in KEYS:
            assert (best[row.key] < worst[row.key]) == row.lower_is_better, row.key
            assert best[row.key] != worst[row.key], row.key


def test_metrics_are_told_apart_by_their_titles():
    for titles in ([row.title for row in METRICS], [row.short or row.title for row in METRICS]):
        assert all(titles)
        assert len(set(titles)) == len(METRICS) == len(ROWS)


@pytest.mark.parametrize(
    ("missing", "keys", "reason"),
    [
        (
            {"image_threshold": None},
            [*(f"image_{name}" for name in DECISIONS), "seg_f1"],
            "no image threshold",
        ),
        ({"pixel_threshold": None}, PIXEL_DECISIONS, "no pixel threshold"),
        ({"masks": None}, PIXEL_KEYS, "no masks"),
        ({"maps": None}, PIXEL_KEYS, "no maps"),
        ({"masks": [mask & False for mask in MASKS]}, PIXEL_KEYS, "no defective pixels"),
        (
            {"masks": [mask | True for mask in MASKS]},
            [key for key in PIXEL_KEYS if key != "pixel_recall"],
            "no good pixels",
        ),
    ],
)
def test_what_is_missing_gives_null_and_the_reason(missing, keys, reason):
    result = run(**missing)
    assert result.reasons == dict.fromkeys(keys, reason)
    assert [key for key in KEYS if result.values[key] is None] == keys


@pytest.mark.parametrize(
    ("labels", "defined", "reason"),
    [
        (LABELS & False, ["accuracy", "specificity", "overkill_rate"], "no defective images"),
        (LABELS | True, ["recall", "accuracy", "escape_rate"], "no good images"),
    ],
)
def test_images_of_one_kind_leave_only_that_kinds_rates(labels, defined, reason):
    result = run(labels=labels)
    keys = [key for key in KEYS if key.startswith("image_") and key.removeprefix("image_") not in defined]
    assert result.reasons == dict.fromkeys(keys, reason)


def test_nothing_at_all_gives_nulls():
    result = evaluate(np.zeros(0, bool), np.zeros(0, np.float32), image_threshold=1.0, maps=[], masks=[])
    assert set(result.values.values()) == {None}
    assert set(result.reasons) == {*KEYS, "aupimo"}


def test_bad_inputs_are_errors_not_nulls():
    with pytest.raises(ScoreError, match="score 2"):
        run(scores=np.array([1, 4, np.nan, 3]))
    with pytest.raises(ScoreError, match="map 3"):
        run(maps=[*MAPS[:3], np.full((3, 5), np.inf)])
    with pytest.raises(DataError, match="map 0 has shape"):
        run(maps=[MAPS[2], *MAPS[1:]])
    with pytest.raises(DataError, match="3 maps but 4 masks"):
        run(maps=MAPS[:3])
    with pytest.raises(DataError, match="4 maps but 5 masks"):
        run(masks=[*MASKS, MASKS[0]])


def test_maps_may_be_of_fewer_images_than_labels():
    assert run(maps=MAPS[:3], masks=MASKS[:3]).values["image_auroc"] == run().values["image_auroc"]
