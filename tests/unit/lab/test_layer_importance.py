"""What each layer is worth is what trials with and without it reach."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, category, encode_png, part_picture

from kizu.core.errors import ConfigError, DataError
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.lab.layer_importance import layer_importance
from kizu.lab.trial import run_trial
from kizu.metrics.compare import delong


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """With a defect that nobody can see."""
    root: Path = tmp_path_factory.mktemp("layers")
    manifest = category(root, "plate", 0)
    encode_png(root / "plate/test/checks/0.png", part_picture(900))
    return manifest.with_hashes()


def reach(plate: Manifest, *layers: str) -> tuple[float | None, np.ndarray, np.ndarray]:
    with run_trial(BASE.changed({"embedding": {"layers": layers}}, where="test"), plate) as trial:
        labels = np.array([sample.label == "defect" for sample in trial.found.samples])
        return trial.evaluation.metrics["image_auroc"], labels, trial.found.scores.copy()


def test_each_row_is_the_trial_of_that_layer_alone_and_of_all_others(plate: Manifest) -> None:
    layers = ("blocks.2", "blocks.0", "blocks.1")
    told: list[tuple[str, int, int]] = []
    config = BASE.changed({"embedding": {"layers": layers}}, where="test")
    found = layer_importance(config, plate, work=Work(on_progress=lambda *step: told.append(step)))
    assert [row.layer for row in found.rows] == ["blocks.0", "blocks.1", "blocks.2"]
    assert found.together.layers == ("blocks.0", "blocks.1", "blocks.2")
    together, labels, scores = reach(plate, *layers)
    assert found.together.image_auroc == together
    assert found.together.interval is not None
    assert found.together.aupro_030 is not None
    row = found.rows[1]
    assert row.alone.image_auroc == reach(plate, "blocks.1")[0]
    assert row.without is not None
    assert row.without.layers == ("blocks.0", "blocks.2")
    value, _, others = reach(plate, "blocks.0", "blocks.2")
    assert row.without.image_auroc == value
    assert row.gain == delong(labels, scores, others)
    assert all(row.p_value is not None and row.gain is not None for row in found.rows)
    assert all((row.p_value or 0) >= (row.gain.p_value if row.gain else 1) for row in found.rows)
    assert told[-1] == ("layers", 7, 7)


def test_of_two_layers_each_is_what_is_left_without_the_other(plate: Manifest) -> None:
    told: list[tuple[str, int, int]] = []
    config = BASE.changed({"embedding": {"layers": ("blocks.1", "blocks.2")}}, where="test")
    found = layer_importance(config, plate, work=Work(on_progress=lambda *step: told.append(step)))
    first, second = found.rows
    assert (first.without, second.without) == (second.alone, first.alone)
    assert told[-1] == ("layers", 3, 3)


def test_one_layer_alone_has_no_other_to_be_compared_with(plate: Manifest) -> None:
    config = BASE.changed({"embedding": {"layers": ("blocks.1",)}}, where="test")
    found = layer_importance(config, plate)
    (row,) = found.rows
    assert row.alone == found.together
    assert (row.without, row.gain, row.p_value) == (None, None, None)


def test_layers_that_nobody_named_are_the_backbones_own(plate: Manifest) -> None:
    found = layer_importance(BASE, plate)
    assert [row.layer for row in found.rows] == ["blocks.1", "blocks.2"]


def test_a_layer_that_is_not_there_and_a_set_without_defects_are_refused(plate: Manifest) -> None:
    with pytest.raises(ConfigError, match=r"no layer 'blocks\.9'"):
        layer_importance(BASE.changed({"embedding": {"layers": ("blocks.9",)}}, where="test"), plate)
    good = tuple(sample for sample in plate.samples if sample.label == "good")
    with pytest.raises(DataError, match="of one kind"):
        layer_importance(BASE, replace(plate, samples=good))
