"""What is promised and measured follows from scores, maps and groups as one counts by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import part_picture

from kizu.bundles.store import load
from kizu.core.split import Split
from kizu.core.types import F32
from kizu.data.manifest import Sample
from kizu.decision.calibration import Thresholds
from kizu.decision.promise import Check
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.lab.evaluate import evaluate_run
from kizu.lab.predictions import Predictions
from kizu.lab.promises import SetOn, check_promises, explain, group_keys, read_set_on, told
from kizu.lab.update import update_run
from kizu.runs.folder import RunFolder

SIDE = 4


def threshold(value: float, rate: float | None = 0.25) -> Threshold:
    return Threshold(
        value=value, rule=Rule(name="maximum"), split=Split.CALIBRATION, count=3, false_alarm_rate=rate
    )


def found(scores: list[float], peaks: list[float], **changes: list[str | None]) -> Predictions:
    """The last image is defective."""
    labels = ["good"] * (len(scores) - 1) + ["defect"]
    samples = tuple(
        replace(
            Sample(f"{n}.png", Path(f"{n}.png"), label, split=Split.TEST),  # type: ignore[arg-type]
            **{name: values[n] for name, values in changes.items()},  # type: ignore[arg-type]
        )
        for n, label in enumerate(labels)
    )
    maps: F32 = np.zeros((len(scores), SIDE, SIDE), np.float32)
    maps[:, 3, 0] = peaks
    size = ((SIDE, SIDE),) * len(scores)
    return Predictions(
        samples,
        np.array(scores, np.float32),
        maps,
        size,
        (None,) * len(scores),
        PlacementConfig(image_size=SIDE),
    )


THRESHOLDS = Thresholds(image=threshold(2.0), pixel=threshold(7.0))


def test_good_images_above_either_threshold_are_counted_and_a_defect_is_not() -> None:
    promises = check_promises(found([1, 2, 3, 9], [8, 8, 7, 9]), THRESHOLDS)
    counts = {kind: (c.measured.rejected, c.measured.pictures) for kind, c in promises.items()}
    assert counts == {"image": (1, 3), "pixel": (2, 3)}  # a score or a pixel at its threshold is not above it
    assert {kind: c.kind for kind, c in promises.items()} == {"image": "image", "pixel": "pixel"}


def test_zones_take_the_place_of_the_one_pixel_threshold() -> None:
    zones = ZoneThresholds(grid=(2, 1), zones=(threshold(7.0), threshold(20.0)), false_alarm_rate=0.5)
    promises = check_promises(
        found([1, 2, 3, 9], [8, 8, 21, 9]), THRESHOLDS.model_copy(update={"zones": zones})
    )
    assert promises["pixel"].measured.rejected == 1
    assert promises["pixel"].promise is not None
    assert promises["pixel"].promise.rate == 0.5


def test_what_is_not_independent_counts_once() -> None:
    grouped = check_promises(found([3, 3, 1, 9], [0] * 4, group=["a", "a", "b", None]), THRESHOLDS)
    assert grouped["image"].measured.groups == 2
    assert grouped["image"].measured.rejected_groups == 1
    copies = check_promises(found([3, 3, 1, 9], [0] * 4, sha256=["0", "0", "1", "2"]), THRESHOLDS)
    assert copies["pixel"].measured.groups == 2


def test_a_group_is_not_taken_for_an_image_of_its_name() -> None:
    samples = [Sample("a", Path("a")), Sample("b", Path("b"), group="a"), Sample("c", Path("c"), group="a")]
    assert len(set(group_keys(samples))) == 2


def test_without_good_test_images_nothing_is_measured() -> None:
    promises = check_promises(found([9], [9]), THRESHOLDS)
    assert promises["image"].answer is None
    assert told(promises)["image"]["rate"] is None


def samples_of(*groups: str | None, start: int = 0) -> list[Sample]:
    return [Sample(f"{n}", Path(f"{n}"), group=group) for n, group in enumerate(groups, start)]


def test_siblings_across_the_cut_are_counted_and_folds_have_none() -> None:
    fit, held = samples_of("a", "b", None), samples_of("a", "a", "c", None, start=9)
    known = SetOn.of(fit, held, np.arange(4.0))
    assert (known.siblings, known.groups, len(known.scores)) == (2, 3, 4)
    assert SetOn.of(fit, held, np.arange(3.0)).scores.size == 0, "these are scores of others"
    assert SetOn.of(fit, fit).siblings == 0, "each was scored by a fit without its group"
    assert SetOn.of(samples_of(None), samples_of(None, start=1)).groups is None


def test_a_broken_promise_is_explained_and_one_that_stands_is_not() -> None:
    promises = check_promises(found([9] * 30 + [9], [0] * 31), THRESHOLDS)
    known = SetOn(scores=np.arange(30.0) / 30, siblings=4)
    explained = explain(promises, known, [], np.full(30, 9.0))
    assert [cause.split(":")[0] for cause in explained["image"].causes] == [
        "siblings",
        "a shift",
        "few images",
    ]
    assert explained["pixel"].causes == ()
    assert Check.model_validate({**explained["image"].model_dump()}) == explained["image"]


def test_siblings_of_what_the_model_has_seen_show_nothing_kept() -> None:
    promises = check_promises(found([1] * 60 + [9], [0] * 61), THRESHOLDS)
    assert promises["image"].answer == "kept"
    good = samples_of(*["a"] * 4, *[None] * 56)
    known = SetOn.of(samples_of("a"), samples_of("b", start=1))
    explained = explain(promises, known, good, np.ones(60))["image"]
    assert (explained.answer, explained.met) == ("not refuted", 4)
    assert "4 of these pictures are of groups that the model has seen" in explained.describe()
    assert explain(promises, known, samples_of(*["c"] * 60), np.ones(60))["image"].answer == "kept"


def test_scores_are_those_of_the_model_that_is_in_force_or_none(run: RunFolder, tmp_path: Path) -> None:
    first = load(run.bundle).manifest
    known = read_set_on(run, first)
    assert len(known.scores) == first.fitted_on.calibration_count == 5
    assert known.scores.max() == pytest.approx(first.thresholds.image.value, rel=1e-3)
    assert known.siblings == 0
    for number in range(3):
        encode_png(tmp_path / f"more/{number}.png", part_picture(400 + number))
    update_run(run, tmp_path / "more", reason="more of the same")
    second = load(run.bundle).manifest
    assert second.version == 2
    assert read_set_on(run, second).scores.size == 0
    assert evaluate_run(run).promises["image"].measured.pictures == 4


def test_of_several_categories_each_has_its_own(run: RunFolder) -> None:
    manifest = load(run.bundle).manifest
    assert read_set_on(run, manifest, "train").scores.size == 5
    assert read_set_on(run, manifest, "other").scores.size == 0
