"""Whoever says something else is found out, and by how much."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import part_picture

from kizu.core.errors import DataError, ScoreError
from kizu.core.split import Split
from kizu.core.types import Scores
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
    with pytest.raises(DataError, match="no image to compare"):
        compare([], x=Brightness())


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
