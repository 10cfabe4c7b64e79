"""Images that cannot be read are left out wherever they lie, when that was asked for, and named."""

from pathlib import Path

import pytest
from tests.support import category, part_picture, run_config, with_flaw

from kizu.core.errors import ImageError
from kizu.imaging.codec import encode_png
from kizu.lab.train import RunConfig, train_run


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    """With labelled validation images, of each kind one that is broken; and one that is broken to learn from."""
    category(tmp_path, "plate", 0)
    validation = tmp_path / "plate/validation"
    for number in range(4):
        encode_png(validation / "good" / f"{number}.png", part_picture(40 + number))
        encode_png(validation / "checks" / f"v{number}.png", with_flaw(part_picture(50 + number), 20, 24))
    for broken in (
        validation / "good/0.png",
        validation / "checks/v0.png",
        tmp_path / "plate/train/good/0.png",
    ):
        broken.write_bytes(b"nothing")
    return run_config(tmp_path, "plate").changed({"calibration": {"rule": "f1_max"}}, where="test")


def test_a_broken_image_ends_a_training_unless_it_may_be_left_out(config: RunConfig, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"0\.png"):
        train_run(config, tmp_path / "runs")


def test_broken_images_are_left_out_of_learning_and_of_validation_alike(
    config: RunConfig, tmp_path: Path
) -> None:
    run = train_run(config, tmp_path / "runs", skip_broken=True)
    assert set(run.skipped) == {"train/good/0.png", "validation/good/0.png", "validation/checks/v0.png"}
    image = run.fitted.bundle.manifest.thresholds.image
    assert (image.rule.name, image.count) == ("f1_max", 6)
    meta = run.folder.read_meta()
    assert "train/good/0.png" not in (*meta.fit, *meta.calibration)
