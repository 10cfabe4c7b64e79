"""Labelled defects of the training split: learned from by methods for them, and never beside what measures."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import category, part_picture, with_flaw

from kizu.core.errors import LeakageError
from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.lab.cut import cut_good
from kizu.lab.defects import PlacedDefects
from kizu.lab.train import RunConfig, train_run
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import open_pipeline

SETTINGS = {"kind": "discriminative", "steps": 200, "hidden": [32], "rate": 0.004}
CONFIG = PipelineConfig.parse(
    {"detector": SETTINGS, "embedding": {"backbone": "tiny"}, "placement": {"image_size": 64}}, where="test"
)


def with_defects(root: Path) -> Manifest:
    """12 good images to learn from, 4 defects of which two are drawn, and a test set."""
    category(root, "plate", 0)
    for number in range(4):
        image = with_flaw(part_picture(200 + number), 36, 10 + number)
        encode_png(root / "plate" / "train" / "mark" / f"{number}.png", image)
        if number < 2:
            mask = np.zeros((64, 64), bool)
            mask[36:48, 10 + number : 22 + number] = True
            encode_png(root / "plate" / "ground_truth" / "mark" / f"{number}_mask.png", mask)
    return scan(root, "plate")


def test_a_run_learns_from_them_and_says_which(tmp_path: Path) -> None:
    with_defects(tmp_path / "data")
    notes: list[str] = []
    config = RunConfig.parse(
        {**CONFIG.model_dump(mode="json"), "data": {"root": str(tmp_path / "data"), "category": "plate"}},
        where="test",
    )
    trained = train_run(config, tmp_path / "runs", run_id="one", work=Work(on_note=notes.append))
    assert any(
        "learns from 4 labelled defects of the training split, 2 of them drawn" in note for note in notes
    )
    assert trained.folder.read_meta().defects == tuple(f"train/mark/{n}.png" for n in range(4))
    pipeline = open_pipeline(trained.bundle)
    good = np.stack([part_picture(300 + n) for n in range(4)])
    flawed = np.stack([with_flaw(image, 36, 12) for image in good])
    assert pipeline.score(flawed).image.min() > pipeline.score(good).image.max()
    assert trained.bundle.manifest.thresholds.image.false_alarm_rate is not None


def test_other_methods_do_not_see_them(tmp_path: Path) -> None:
    manifest = with_defects(tmp_path).with_hashes()
    plain = CONFIG.with_detector("padim", {})
    assert cut_good(manifest, plain).defects == ()
    assert cut_good(manifest, CONFIG.with_detector(None, {"real": False})).defects == ()
    assert len(cut_good(manifest, CONFIG).defects) == 4
    fused = CONFIG.with_detector("ensemble", {"members": [SETTINGS, {"kind": "padim"}]})
    assert len(cut_good(manifest, fused).defects) == 4


def test_a_defect_that_also_measures_is_refused(tmp_path: Path) -> None:
    with_defects(tmp_path)
    shutil.copy(tmp_path / "plate/train/mark/0.png", tmp_path / "plate/test/checks/copy.png")
    with pytest.raises(LeakageError, match=r"train/mark/0\.png is learned from"):
        cut_good(scan(tmp_path, "plate").with_hashes(), CONFIG)


def test_a_defect_of_a_part_that_sets_the_threshold_is_left_out(tmp_path: Path) -> None:
    manifest = with_defects(tmp_path).with_hashes()
    held = cut_good(manifest, CONFIG).calibration[0]
    grouped = replace(
        manifest,
        samples=tuple(
            replace(s, group="same part") if s.id in (held.id, "train/mark/1.png") else s
            for s in manifest.samples
        ),
    )
    cut = cut_good(grouped, CONFIG)
    assert held.id in {s.id for s in cut.calibration}
    assert "train/mark/1.png" not in {s.id for s in cut.defects}
    assert "1 more show parts of good images that set the thresholds" in cut.notes[0]


def test_masks_are_placed_like_their_images_and_what_nobody_drew_is_unknown(tmp_path: Path) -> None:
    defects = with_defects(tmp_path).train_defects()
    batches = PlacedDefects(defects, PlacementConfig(image_size=(32, 32)))
    for _ in range(2):  # it can be read again
        ((images, shares),) = list(batches)
        assert images.shape == (4, 32, 32, 3)
        assert shares[0, 18:24, 5:11].min() > 0.75  # the resize smooths rims
        assert shares[0].sum() == pytest.approx(36, abs=1)
        assert np.isnan(shares[2:]).all()
