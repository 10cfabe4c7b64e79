"""Learning from labelled defects is offered where held-out folds say so beyond chance, and not otherwise."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from tests.support import ask, part_picture

from kizu.core.errors import DataError, LeakageError
from kizu.core.types import F32, U8, Bool
from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.imaging.codec import encode_png
from kizu.lab.with_defects import _cut, _Fold, try_with_defects
from kizu.pipeline.config import PipelineConfig

BASE = PipelineConfig.parse(
    {"embedding": {"backbone": "tiny"}, "placement": {"image_size": 64}, "calibration": {"fraction": 0.4}},
    where="test",
)
HEAD = {"kind": "discriminative", "steps": 200, "hidden": [32], "rate": 0.004, "patch_size": 3, "painted": 0}
UNAIDED = {"subspace": {"kind": "subspace", "patch_size": 3}}


def dotted(number: int, dark: float, bright: float) -> tuple[U8, Bool]:
    """A part with a dark dot of any depth, which good parts have too, and a bright one, which makes it a defect; and
    where that is."""
    rng = np.random.default_rng(number)
    image, mask = part_picture(number).astype(float), np.zeros((64, 64), bool)
    for depth in (-dark * rng.uniform(0, 2), bright):
        y, x = rng.integers(6, 50, 2)
        mask[:] = False
        mask[y : y + 10, x : x + 10] = True
        image[mask] += depth
    return np.clip(image, 0, 255).astype(np.uint8), mask


def made(root: Path, bright: float, good: int = 15, defects: int = 10) -> Manifest:
    for number in range(good):
        encode_png(root / "plate/train/good" / f"{number}.png", dotted(number, 60, 0)[0])
    for number in range(defects):
        image, mask = dotted(100 + number, 60, bright)
        encode_png(root / "plate/train/bright" / f"{number}.png", image)
        if number % 2:
            encode_png(root / "plate/ground_truth/bright" / f"{number}_mask.png", mask)
    encode_png(root / "plate/test/good/0.png", dotted(300, 60, 0)[0])
    encode_png(root / "plate/test/bright/0.png", dotted(301, 60, 40)[0])
    return scan(root, "plate")


def test_a_head_that_sees_no_better_is_not_offered(tmp_path: Path) -> None:
    found = try_with_defects(made(tmp_path, bright=0), base=BASE, unaided=UNAIDED, taught={"head": HEAD})
    assert found.offered is None
    assert "nothing that learns from the 10 defects beats subspace beyond chance" in found.reason
    head = found.tried[1]
    assert head.beyond is not None
    assert head.beyond.low <= 0


def test_a_head_that_sees_better_is_offered_with_its_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scores(fold: _Fold, config: PipelineConfig, _work: Work) -> F32:
        drawn = np.random.default_rng(len(fold.held[0].id)).normal(size=len(fold.held))
        worth = 3.0 if config.detector.kind == "discriminative" else 0.3
        return (drawn + worth * fold.defective).astype(np.float32)

    monkeypatch.setattr(_Fold, "scores", scores)
    manifest = made(tmp_path, bright=25, good=20, defects=20)
    found = try_with_defects(manifest, base=BASE, unaided=UNAIDED, taught={"head": HEAD})
    plain, head = found.tried
    assert head.beyond is not None
    assert head.beyond.value == pytest.approx(head.auroc - plain.auroc)
    assert 0 < head.beyond.low < head.beyond.value < head.beyond.high
    assert found.offered is head
    assert found.reason.startswith("head beats subspace on held-out folds by +")
    assert (found.defects, found.drawn, found.good) == (20, 10, 20)


def test_no_part_is_on_two_sides_of_a_fold(tmp_path: Path) -> None:
    manifest = (
        made(tmp_path, bright=25).group_by(r"(\d)\.png").with_hashes()
    )  # a good part and a defect of one number
    for fold in _cut(manifest.train_good(), manifest.train_defects(), 0):
        learned = {s.group for s in (*fold.good, *fold.defects)}
        assert fold.good
        assert fold.defects
        assert not learned & {s.group for s in fold.held}


def test_each_image_is_held_once(tmp_path: Path) -> None:
    manifest = made(tmp_path, bright=25).with_hashes()
    held = [s.id for fold in _cut(manifest.train_good(), manifest.train_defects(), 0) for s in fold.held]
    assert sorted(held) == sorted(s.id for s in manifest.train_good() + manifest.train_defects())


def test_too_few_defects_and_test_images_among_them_are_refused(tmp_path: Path) -> None:
    manifest = made(tmp_path / "few", bright=25, defects=3)
    with pytest.raises(DataError, match="3 defects of 3 parts cannot be judged by 5 folds"):
        try_with_defects(manifest, base=BASE, unaided=UNAIDED, taught={"head": HEAD})
    made(tmp_path / "leak", bright=25)
    shutil.copy(tmp_path / "leak/plate/train/bright/0.png", tmp_path / "leak/plate/test/bright/90.png")
    with pytest.raises(LeakageError):
        try_with_defects(scan(tmp_path / "leak", "plate"), base=BASE)
    shutil.rmtree(tmp_path / "few/plate/train/bright")
    with pytest.raises(DataError, match="no labelled defect") as none:
        try_with_defects(scan(tmp_path / "few", "plate"), base=BASE)
    assert "train/<kind>/" in (none.value.hint or "")


def test_the_command_says_what_the_folds_say_and_writes_only_what_it_offers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kizu.tasks.recommend as task

    def quick(manifest: Manifest, **more: object) -> object:
        return try_with_defects(manifest, **more, unaided=UNAIDED, taught={"head": HEAD})  # type: ignore[arg-type]

    monkeypatch.setattr(task, "try_with_defects", quick)
    made(tmp_path / "same", bright=0)
    config = tmp_path / "base.yaml"
    config.write_text(yaml.safe_dump({"embedding": {"backbone": "tiny"}, "placement": {"image_size": 64}}))
    line = ["recommend", "--with-defects", "--data-root", tmp_path / "same", "--config", config]
    told = ask(*line)
    assert "beyond subspace" in told.stdout
    assert "nothing that learns" in told.stdout
    values = json.loads(ask(*line, "--json").stdout)
    assert values["tried"][1]["beyond_best_unaided"]["low"] <= 0
    refused = ask(*line, "--output", tmp_path / "choice.yaml", ok=2)
    assert "choice.yaml is not written" in refused.stderr
    assert not (tmp_path / "choice.yaml").exists()
    assert "leave --search" in ask(*line, "--search", ok=2).stderr
