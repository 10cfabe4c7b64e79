"""Whoever says something else is found out, and by how much."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import part_picture

from kizu.core.errors import DataError, ScoreError
from kizu.core.split import Split
from kizu.core.types import U8, Scores
from kizu.core.work import Work
from kizu.data.manifest import Sample
from kizu.decision.calibration import Thresholds
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig, place
from kizu.release.parity import Agreement, OfPictures, Tolerances, compare_scorers

PLACEMENT = PlacementConfig(image_size=(64, 64))
RULE = Rule(name="maximum")
THRESHOLDS = Thresholds(
    image=Threshold(value=120.0, rule=RULE, split=Split.CALIBRATION, count=1),
    pixel=Threshold(value=120.0, rule=RULE, split=Split.CALIBRATION, count=1),
)


class Brightness:
    """The mean of an image as its score, its green channel as its map; both changed as told."""

    def __init__(self, gain=1.0, shift=0.0, spoil=False, refuse=False):
        self.gain, self.shift, self.spoil, self.refuse = gain, shift, spoil, refuse

    def score(self, images):
        if self.refuse:
            raise ScoreError("no")
        image = images.mean(axis=(1, 2, 3)).astype(np.float32) * np.float32(self.gain) + np.float32(
            self.shift
        )
        maps = images[..., 1].astype(np.float32) * np.float32(self.gain) + np.float32(self.shift)
        if self.spoil:
            image[0] = np.nan
        return Scores(image, maps)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    found = []
    for number in range(11):
        path = tmp_path / f"{number}.png"
        encode_png(path, part_picture(number))
        found.append(Sample(path.name, path))
    return found


def compare(samples, **others):
    return compare_scorers(Brightness(), others, samples, PLACEMENT, THRESHOLDS)


def test_the_same_agrees(samples):
    (found,) = compare(samples, same=Brightness())
    assert found.images == 11
    assert (found.score_max_error, found.map_max_error, found.mask_iou, found.flips) == (0, 0, 1, [])
    assert found.failures() == []


def test_each_departure_is_told(samples):
    slight, shifted, spoilt, refusing = compare(
        samples,
        slight=Brightness(gain=1 + 5e-4),
        shifted=Brightness(shift=40),
        spoilt=Brightness(spoil=True),
        refusing=Brightness(refuse=True),
    )
    assert slight.failures() == []
    assert slight.score_max_error == pytest.approx(5e-4, rel=0.3)
    scores = Brightness().score(np.stack([part_picture(n) for n in range(11)])).image
    expected = (40 / np.maximum(scores, 120)).max()
    assert shifted.score_max_error == pytest.approx(expected, rel=1e-3)
    assert "decision(s) flipped" in " ".join(shifted.failures())
    assert shifted.mask_iou < 0.99
    assert spoilt.not_finite == 2  # one in each of two batches
    assert refusing.not_finite == 11
    assert spoilt.failures()
    assert refusing.failures()


class Told:
    """Scores and maps as told, image by image."""

    def __init__(self, scores: list[float], maps: list[np.ndarray]) -> None:
        self.scores, self.maps, self.seen = scores, maps, 0

    def score(self, images: U8) -> Scores:
        here = slice(self.seen, self.seen + len(images))
        self.seen += len(images)
        return Scores(np.float32(self.scores[here]), np.float32(self.maps[here]))


def told(
    samples: list[Sample], true: list[float], other: list[float], **maps: list[list[float]]
) -> Agreement:
    """Each image has four map pixels, 100 where none are told; the thresholds are 120."""
    plain = [[100.0] * 4] * len(true)
    scorers = [
        Told(scores, [np.reshape(image, (2, 2)) for image in maps.get(name, plain)])
        for name, scores in (("true_maps", true), ("other_maps", other))
    ]
    (found,) = compare_scorers(
        scorers[0], {"x": scorers[1]}, samples[: len(true)], PlacementConfig(image_size=(2, 2)), THRESHOLDS
    )
    return found


def test_errors_are_parts_of_the_threshold_or_of_the_true_value_whichever_is_larger(
    samples: list[Sample],
) -> None:
    found = told(samples, [60.0, 240.0, -480.0, 60.0], [66.0, 216.0, -480.0, 60.0])
    assert found.score_max_error == pytest.approx(24 / 240)
    assert found.score_mean_error == pytest.approx((6 / 120 + 24 / 240) / 4)
    maps = [[60.0, 240.0, -480.0, 0.0], [120.0] * 4]
    others = [[66.0, 264.0, -384.0, 0.0], [120.0, 120.0, 120.0, 117.0]]
    found = told(samples, [100.0, 100.0], [100.0, 100.0], true_maps=maps, other_maps=others)
    assert found.map_max_error == pytest.approx(96 / 480)
    assert found.map_mean_error == pytest.approx((6 / 120 + 24 / 240 + 96 / 480 + 3 / 120) / 8)


def test_masks_are_compared_over_all_images_together_and_the_worst_is_told(samples: list[Sample]) -> None:
    """A pixel is marked above the threshold; one that truly lies at it does not count."""
    true = [[130.0, 130.0, 130.0, 120.0], [130.0, 130.0, 100.0, 100.0], [100.0] * 4]
    other = [[130.0, 130.0, 130.0, 130.0], [130.0, 120.0, 100.0, 100.0], [100.0] * 4]
    found = told(samples, [0.0] * 3, [0.0] * 3, true_maps=true, other_maps=other)
    assert found.mask_iou == pytest.approx(4 / 5)
    assert found.lowest_mask_iou == pytest.approx(1 / 2)
    assert found.pixels_at_threshold == 1
    assert "mask IoU 0.8000" in found.failures()
    nowhere = told(samples, [0.0], [0.0])
    assert (nowhere.mask_iou, nowhere.lowest_mask_iou) == (1, 1)


def test_what_is_not_finite_is_counted_and_left_out_of_the_means(samples: list[Sample]) -> None:
    broken = [[100.0] * 4, [100.0, np.nan, 100.0, 100.0], [100.0] * 4]
    found = told(samples, [60.0] * 3, [np.inf, 60.0, 66.0], other_maps=broken)
    assert (found.images, found.not_finite) == (3, 2)
    assert found.score_mean_error == found.score_max_error == pytest.approx(6 / 120)
    assert found.map_mean_error == 0
    assert found.failures() == ["score error 0.05", "2 image(s) without a finite score"]


def test_a_flip_is_as_far_from_the_threshold_as_the_true_score(samples: list[Sample]) -> None:
    found = told(samples, [126.0, 114.0, 150.0, 120.0], [119.0, 121.0, 130.0, 120.0])
    assert [(flip.true_score, flip.score) for flip in found.flips] == [(126.0, 119.0), (114.0, 121.0)]
    assert [flip.distance for flip in found.flips] == pytest.approx([6 / 120, 6 / 120])
    assert found.far_flips(Tolerances(score=0.049)) == 2
    distance = found.flips[0].distance
    assert found.far_flips(Tolerances(score=distance)) == sum(f.distance > distance for f in found.flips)
    assert found.far_flips(Tolerances(score=0.051)) == 0
    assert "2 decision(s) flipped" in found.failures()
    as_json = found.as_json(Tolerances(score=0.2, map=1, iou=0))
    assert (as_json["flips_away_from_the_threshold"], as_json["failures"]) == (0, [])
    assert as_json["flips"][1] == {
        "image": str(samples[1].path), "true_score": 114.0, "score": 121.0, "distance": pytest.approx(0.05),
    }  # fmt: skip


def test_one_flip_is_one_too_many_and_named_after_its_scorer_and_image(samples: list[Sample]) -> None:
    found = told(samples, [126.0], [119.0])
    assert found.name == "x"
    assert "1 decision(s) flipped" in found.failures(Tolerances(score=0.01))
    assert found.flips[0].image == str(samples[0].path)


@pytest.mark.parametrize("value", [2e-3, 0.0])
def test_small_scores_have_errors_of_their_own_size(samples: list[Sample], value: float) -> None:
    """Distances of a method may be thousandths; and where all is 0, nothing is divided by it."""
    threshold = Threshold(value=value, rule=RULE, split=Split.CALIBRATION, count=1)
    scorers = [
        Told([true, 0.0], [np.float32([[true, 0], [0, 0]]), np.zeros((2, 2), np.float32)])
        for true in (4e-3, 1e-3)
    ]
    thresholds = Thresholds(image=threshold, pixel=threshold)
    placement = PlacementConfig(image_size=(2, 2))
    (found,) = compare_scorers(scorers[0], {"x": scorers[1]}, samples[:2], placement, thresholds)
    assert found.score_max_error == pytest.approx(0.75)
    assert found.map_max_error == pytest.approx(0.75)
    if value:
        assert found.flips[0].distance == pytest.approx(1)


def test_tolerances_are_kept_when_they_are_met_exactly() -> None:
    exact = Agreement("x", images=1, score_max_error=0.25, map_max_error=0.5, mask_iou=0.75)
    assert exact.failures(Tolerances(score=0.25, map=0.5, iou=0.75)) == []
    assert exact.failures(Tolerances(score=0.2, map=0.4, iou=0.8)) == [
        "score error 0.25",
        "map error 0.5",
        "mask IoU 0.7500",
    ]


def test_a_flip_at_the_threshold_is_told_and_forgiven(samples):
    scores = Brightness().score(np.stack([part_picture(n) for n in range(11)])).image
    at = THRESHOLDS.model_copy(
        update={"image": Threshold(value=float(scores[3]), rule=RULE, split=Split.CALIBRATION, count=1)}
    )
    (found,) = compare_scorers(Brightness(), {"x": Brightness(gain=1 + 1e-4)}, samples, PLACEMENT, at)
    assert [Path(flip.image).name for flip in found.flips] == ["3.png"]
    assert found.flips[0].distance == 0
    assert found.far_flips(Tolerances()) == 0
    assert found.failures() == []


def test_another_model_by_intent_is_judged_by_its_decisions(samples):
    others = {"half": Brightness(gain=1.002)}
    (strict,) = compare_scorers(Brightness(), others, samples, PLACEMENT, THRESHOLDS)
    (lenient,) = compare_scorers(Brightness(), others, samples, PLACEMENT, THRESHOLDS, by_decisions={"half"})
    assert any("error" in failure for failure in strict.failures())
    assert not any("error" in failure for failure in lenient.failures())


def test_noise_may_be_added_and_nothing_is_refused(samples):
    (found,) = compare_scorers(
        Brightness(), {"x": Brightness()}, samples, PLACEMENT, THRESHOLDS, random_images=9
    )
    assert found.images == 20
    seen = []

    class Bright(Brightness):
        def score(self, images):
            seen.append(images)
            return super().score(images)

    others = {"x": Brightness(shift=-1000)}  # which finds nothing
    (found,) = compare_scorers(Bright(), others, [], PLACEMENT, THRESHOLDS, random_images=9)
    assert [flip.image for flip in found.flips] == [f"noise {number}" for number in range(9)]
    assert {images.shape[1:] for images in seen} == {(64, 64, 3)}
    with pytest.raises(DataError, match="no image to compare"):
        compare([], x=Brightness())


@pytest.mark.parametrize("others", [{"refusing": Brightness(refuse=True), "x": Brightness()}, {}])
def test_how_many_were_compared_is_told_to_the_end(samples, others):
    steps = []
    compare_scorers(
        Brightness(),
        others,
        samples,
        PLACEMENT,
        THRESHOLDS,
        random_images=9,
        work=Work(on_progress=lambda *step: steps.append(step)),
    )
    assert steps == [("compared", done, 20) for done in (8, 11, 19, 20) if others]


def test_pixels_at_the_threshold_do_not_count_and_are_counted(samples):
    """The pixel threshold is the value of a good image's pixel: on which side that falls is the last bit's chance."""
    at = Threshold(value=150.0, rule=RULE, split=Split.CALIBRATION, count=1)
    thresholds = THRESHOLDS.model_copy(update={"pixel": at})
    (found,) = compare_scorers(Brightness(), {"x": Brightness(shift=0.01)}, samples, PLACEMENT, thresholds)
    maps = np.stack([part_picture(n)[..., 1] for n in range(11)])
    assert found.pixels_at_threshold == int((maps == 150).sum()) > 0
    assert found.mask_iou == 1.0
    assert found.failures() == []
    assert found.as_json(Tolerances())["pixels_at_threshold"] == found.pixels_at_threshold
    (off,) = compare_scorers(Brightness(), {"x": Brightness(shift=-10)}, samples, PLACEMENT, thresholds)
    assert any("mask IoU" in failure for failure in off.failures())


class ByItself:
    """Takes whole pictures, and places them itself; or forgets half of the resize."""

    def __init__(self, spoil=False):
        self.spoil = spoil

    def score(self, images):
        wanted = (
            [np.asarray(image)[::2, ::2][:64, :64] for image in images]
            if self.spoil
            else [place(image, PLACEMENT) for image in images]
        )
        return Brightness().score(np.stack(wanted))


def test_a_scorer_of_pictures_is_given_those_of_its_size_and_noise(tmp_path):
    samples = []
    for number, side in enumerate((128, 128, 90, 64)):
        path = tmp_path / f"{number}.png"
        encode_png(path, part_picture(number, side))
        samples.append(Sample(path.name, path))
    whole, spoilt, placed = compare(
        samples,
        whole=OfPictures(ByItself(), (128, 128)),
        spoilt=OfPictures(ByItself(spoil=True), (128, 128)),
        placed=Brightness(),
    )
    assert (whole.images, whole.of_another_size, whole.failures()) == (2 + 2, 2, [])
    assert (placed.images, placed.of_another_size) == (4, 0)
    assert spoilt.failures()


def test_what_was_not_compared_does_not_agree():
    assert Agreement("x").failures() == ["no image was compared"]
    assert Agreement("x", images=3, refused="stale").failures() == ["stale"]
