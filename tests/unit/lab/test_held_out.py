"""What is held out sets the thresholds, by the scorer that runs, and labelled images serve the rules that want them."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import example

from kizu.core.errors import CalibrationError
from kizu.core.randomness import rng_for
from kizu.core.types import U8, Scores
from kizu.core.work import Work
from kizu.data.manifest import Label, Sample
from kizu.decision.calibration import PIXELS_PER_IMAGE, CalibrationConfig, sample_pixels
from kizu.decision.conformal import maximum
from kizu.decision.thresholds import f1_max, mean_sigma
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.lab.held_out import SetOf, set_held_out_thresholds

SIDE = 80
SEED = 3
MANIFEST = example().manifest.model_copy(update={"placement": PlacementConfig(image_size=SIDE), "seed": SEED})


class Brightness:
    """An image's mean as its score, its green channel as its map."""

    def score(self, images: U8) -> Scores:
        return Scores(images.mean(axis=(1, 2, 3), dtype=np.float32), images[..., 1].astype(np.float32))


def apart(samples: list[Sample]) -> SetOf:
    """None was fitted on, and each is a group of its own."""
    return SetOf(tuple(samples), {sample: number for number, sample in enumerate(samples)}, left_out=False)


def picture(seed: int) -> U8:
    """Brighter from one to the next."""
    noise = np.random.default_rng(seed).integers(0, 100, (SIDE, SIDE, 3))
    return (noise + 10 * seed).astype(np.uint8)


def pictures(root: Path, label: Label, seeds: range) -> list[Sample]:
    for seed in seeds:
        encode_png(root / label / f"{seed}.png", picture(seed))
    return [Sample(f"{seed}.png", root / label / f"{seed}.png", label) for seed in seeds]


@pytest.fixture
def held(tmp_path: Path) -> list[Sample]:
    return pictures(tmp_path, "good", range(6))


@pytest.fixture
def labelled(tmp_path: Path) -> list[Sample]:
    """Not one kind after the other: the brighter ones are defective, all but one."""
    good, bad = pictures(tmp_path, "good", range(4, 12)), pictures(tmp_path, "defect", range(9, 15))
    return [sample for two in zip(good, bad, strict=False) for sample in two] + good[6:]


def test_images_and_pixels_that_were_held_out_set_them_by_the_chance_of_the_bundle(
    held: list[Sample],
) -> None:
    assert SIDE * SIDE > PIXELS_PER_IMAGE
    config = CalibrationConfig(rule="maximum", pixel_rule="mean_sigma", sigmas=2)
    thresholds = set_held_out_thresholds(Brightness(), apart(held), MANIFEST, config)
    seen = Brightness().score(np.stack([picture(seed) for seed in range(6)]))
    assert thresholds.image == maximum(seen.image)
    pixels = sample_pixels(seen.maps, rng_for(SEED, "pixels"))
    assert thresholds.pixel == mean_sigma(pixels, 2).model_copy(update={"count": 6})
    assert thresholds.pixel.value != mean_sigma(seen.maps.ravel(), 2).value


def test_labelled_images_set_the_image_threshold_where_the_rule_wants_them(
    held: list[Sample], labelled: list[Sample]
) -> None:
    config = CalibrationConfig(rule="f1_max")
    told: list[tuple[str, int, int]] = []
    work = Work(on_progress=lambda *step: told.append(step))
    found = set_held_out_thresholds(
        Brightness(), apart(held), MANIFEST, config, validation=labelled, work=work
    ).image
    scores = Brightness().score(np.stack([picture(int(s.path.stem)) for s in labelled])).image
    assert found == f1_max(scores, np.array([sample.label == "defect" for sample in labelled]))
    assert found.count == len(labelled)
    ends = [(stage, total) for stage, done, total in told if done == total]
    assert ends == [("validation", len(labelled)), ("calibration", 6)]
    with pytest.raises(CalibrationError, match="labelled validation"):
        set_held_out_thresholds(Brightness(), apart(held), MANIFEST, config)


def test_no_mask_is_opened(held: list[Sample], labelled: list[Sample], tmp_path: Path) -> None:
    gone = [Sample(s.id, s.path, s.label, tmp_path / "gone.png") for s in labelled]
    config = CalibrationConfig(rule="f1_max")
    masked = set_held_out_thresholds(Brightness(), apart(gone[:3] + held), MANIFEST, config, validation=gone)
    assert masked.image.count == len(labelled)
