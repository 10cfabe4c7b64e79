"""The study split is drawn once, kept to, and refused when its images are no longer the same."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import DataError, LeakageError
from kizu.core.split import Split
from kizu.data.manifest import Manifest, Sample
from kizu.data.study import draw_study, load_or_draw

KINDS = {"crack": 10, "hole": 3, "stain": 1}


def manifest() -> Manifest:
    def sample(name: str, split: Split, kind: str) -> Sample:
        return Sample(
            name,
            Path(name),
            "good" if kind == "good" else "defect",
            None,
            kind,
            split,
            sha256=f"hash of {name}",
        )

    train = [sample(f"train/good/{n}.png", Split.TRAIN, "good") for n in range(20)]
    good = [sample(f"test/good/{n}.png", Split.TEST, "good") for n in range(5)]
    bad = [sample(f"test/{kind}/{n}.png", Split.TEST, kind) for kind, c in KINDS.items() for n in range(c)]
    return Manifest("set", "part", Path(), tuple(train + good + bad))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_sides_have_the_parts_that_are_promised() -> None:
    cut = draw_study(manifest(), rng(), seed=0).apply(manifest())
    assert len(cut.train_good()) == 16
    assert Counter(s.defect for s in cut.validation()) == {"good": 4, "crack": 3, "hole": 1}
    assert Counter(s.defect for s in cut.test()) == {"good": 5, "crack": 7, "hole": 2, "stain": 1}


def test_it_is_read_rather_than_drawn_again(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    first = load_or_draw(path, manifest(), rng(0), seed=0)
    assert load_or_draw(path, manifest(), rng(99), seed=99) == first
    assert draw_study(manifest(), rng(99), seed=99).apply(manifest()) != first
    assert json.loads(path.read_text())["seed"] == 0


def test_changed_missing_and_new_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "study.json"
    load_or_draw(path, whole := manifest(), rng(), seed=0)
    changed = replace(whole.samples[3], sha256="another")
    more = replace(whole.samples[3], id="train/good/new.png")
    for samples, said in (
        ((*whole.samples[:3], changed, *whole.samples[4:]), "3.png has changed"),
        (whole.samples[1:], "0.png is gone"),
        ((*whole.samples, more), "new.png was not there"),
    ):
        with pytest.raises(DataError, match=said):
            load_or_draw(path, replace(whole, samples=samples), rng(), seed=0)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"study\.json: 'seed' is missing"):
        load_or_draw(path, whole, rng(), seed=0)


def test_a_copy_on_two_sides_is_leakage() -> None:
    whole = manifest()
    copy = replace(whole.samples[-1], sha256=whole.samples[0].sha256)
    many = [replace(s, sha256=copy.sha256) if s.defect == "crack" else s for s in whole.samples[:-1]]
    with pytest.raises((LeakageError, DataError)):
        draw_study(replace(whole, samples=(*many, copy)), rng(), seed=0)


def test_single_defects_cannot_be_parted() -> None:
    whole = manifest()
    few = tuple(s for s in whole.samples if s.label == "good" or s.id.endswith(("crack/0.png", "hole/0.png")))
    with pytest.raises(DataError, match="no kind of defect has two"):
        draw_study(replace(whole, samples=few), rng(), seed=0)
