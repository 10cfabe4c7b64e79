from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support import CONFIG, IDENTITY, fitted, part_picture, placed, with_flaw

from kizu.core.errors import CalibrationError, DataError
from kizu.core.split import Split
from kizu.core.types import U8
from kizu.data.manifest import Sample
from kizu.decision.cuts import MARGIN
from kizu.imaging.codec import encode_png
from kizu.lab.evaluate import evaluate
from kizu.lab.fit import LabelledImages, Sides, fit_bundle


def test_the_bundle_knows_what_it_rests_on(good_pictures: U8) -> None:
    manifest = fitted(good_pictures).bundle.manifest
    assert (manifest.fitted_on.fit_count, manifest.fitted_on.calibration_count) == (16, 8)
    assert manifest.thresholds.image.count == 8
    assert manifest.thresholds.image.split is Split.CALIBRATION
    assert manifest.thresholds.image.false_alarm_rate == pytest.approx(1 / 9)
    assert manifest.embedding["layers"]


def test_thresholds_rest_on_the_held_out_scores(good_pictures: U8) -> None:
    result = fitted(good_pictures)
    thresholds = result.bundle.manifest.thresholds
    for threshold, scores in (
        (thresholds.image, result.calibration.scores),
        (thresholds.pixel, result.calibration.peaks),
    ):
        assert threshold.value == pytest.approx(
            float(scores.max()) * (1 + MARGIN), rel=1e-12
        )  # the highest, and the margin above it


def test_f1_max_uses_the_labelled_validation_images(good_pictures: U8) -> None:
    config = CONFIG.changed({"calibration": {"rule": "f1_max"}}, where="test")
    flawed = np.stack([with_flaw(image, 10, 10) for image in good_pictures[20:]])
    images = np.concatenate([good_pictures[16:20], flawed])
    labelled = LabelledImages(8, [(images, np.array([False] * 4 + [True] * 4))])
    sides = Sides(placed(good_pictures[:12]), placed(good_pictures[12:16]), labelled)
    threshold = fit_bundle(config, sides, IDENTITY).bundle.manifest.thresholds.image
    assert (threshold.rule.name, threshold.split, threshold.count) == ("f1_max", Split.VALIDATION, 8)
    with pytest.raises(CalibrationError, match="labelled validation"):
        fitted(good_pictures, config)


@pytest.fixture
def test_samples(tmp_path: Path) -> list[Sample]:
    """Two good, two with a mask, one whose flaw nobody drew."""

    def samples() -> Iterator[Sample]:
        for number in range(2):
            path = tmp_path / f"good{number}.png"
            encode_png(path, part_picture(50 + number, 96))
            yield Sample(path.name, path, "good", defect="good", split=Split.TEST)
        for number in range(3):
            path, mask_path = tmp_path / f"bad{number}.png", tmp_path / f"mask{number}.png"
            encode_png(path, with_flaw(part_picture(60 + number, 96), 20, 30, 24))
            mask = np.zeros((96, 96), dtype=bool)
            mask[20:44, 30:54] = True
            encode_png(mask_path, mask)
            yield Sample(path.name, path, "defect", mask_path if number < 2 else None, "checks", Split.TEST)

    return list(samples())


def test_numbers_are_measured_at_the_masks_resolution(good_pictures: U8, test_samples: list[Sample]) -> None:
    bundle = fitted(good_pictures).bundle
    result = evaluate(bundle, test_samples)
    assert result.metrics["image_auroc"] == 1.0
    assert (result.metrics["aupro_030"] or 0) > 0.7
    assert result.as_json()["counts"] == {"good": 2, "defect": 3}
    assert result.as_json()["counts_by_kind"] == {"checks": 3, "good": 2}


def test_without_masks_pixel_metrics_are_null_with_a_reason(
    good_pictures: U8, test_samples: list[Sample]
) -> None:
    bundle = fitted(good_pictures).bundle
    result = evaluate(bundle, test_samples[:2] + test_samples[4:])
    assert result.metrics["aupro_030"] is None
    assert "no maps" in result.reasons["aupro_030"]
    assert result.metrics["image_auroc"] == 1.0


def test_without_defects_nothing_flatters(good_pictures: U8, test_samples: list[Sample]) -> None:
    bundle = fitted(good_pictures).bundle
    result = evaluate(bundle, test_samples[:2])
    assert result.metrics["image_auroc"] is None
    assert result.metrics["image_f1"] is None
    assert result.metrics["image_specificity"] is not None


def test_a_mask_of_another_size_names_both(
    good_pictures: U8, test_samples: list[Sample], tmp_path: Path
) -> None:
    bundle = fitted(good_pictures).bundle
    encode_png(tmp_path / "mask0.png", np.ones((10, 12), dtype=bool))
    with pytest.raises(DataError, match=r"mask0\.png is 10 x 12, its image .*bad0\.png is 96 x 96"):
        evaluate(bundle, test_samples)


def test_an_empty_mask_of_a_defect_names_both(
    good_pictures: U8, test_samples: list[Sample], tmp_path: Path
) -> None:
    encode_png(tmp_path / "mask0.png", np.zeros((96, 96), dtype=bool))
    with pytest.raises(DataError, match=r"mask0\.png has no flawed pixel, and its image .*bad0\.png"):
        evaluate(fitted(good_pictures).bundle, test_samples)


def test_the_grey_rim_of_an_antialiased_mask_is_flawed(
    good_pictures: U8, test_samples: list[Sample], tmp_path: Path
) -> None:
    bundle = fitted(good_pictures).bundle
    hard = evaluate(bundle, test_samples).metrics["pixel_auroc"]
    grey = np.zeros((96, 96), np.uint8)
    grey[20:44, 30:54], grey[19, 30:54], grey[44, 30:54] = 255, 1, 90
    for number in range(2):
        encode_png(tmp_path / f"mask{number}.png", grey)
    soft = evaluate(bundle, test_samples).metrics["pixel_auroc"]
    wide = grey > 0
    for number in range(2):
        encode_png(tmp_path / f"mask{number}.png", wide)
    assert soft == evaluate(bundle, test_samples).metrics["pixel_auroc"] != hard


def test_only_defects_leave_only_their_rates(good_pictures: U8, test_samples: list[Sample]) -> None:
    result = evaluate(fitted(good_pictures).bundle, test_samples[2:])
    assert result.metrics["image_auroc"] is result.metrics["image_f1"] is None
    assert result.metrics["image_recall"] == 1.0
    assert result.reasons["image_auroc"] == "no good images"


def test_one_calibration_image_promises_one_half(good_pictures: U8) -> None:
    image = fitted(good_pictures[:17]).bundle.manifest.thresholds.image
    assert (image.count, image.false_alarm_rate) == (1, 0.5)


def test_no_test_image_is_an_error(good_pictures: U8) -> None:
    with pytest.raises(DataError, match="no test image"):
        evaluate(fitted(good_pictures).bundle, [])
