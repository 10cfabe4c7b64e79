"""The sheet of failures and the pictures of an evaluation: which cases, in which order, named how."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import category, run_config

import kizu.report.gallery as module
from kizu.core.types import U8
from kizu.data.manifest import Sample
from kizu.imaging.codec import decode, encode_png
from kizu.imaging.overlay import TRUE
from kizu.inspection.inspector import Inspection, Inspector
from kizu.lab.evaluate import Prediction, evaluate_run
from kizu.lab.shown import ShownProbability
from kizu.lab.train import train_run
from kizu.metrics.probability import Reliability
from kizu.report.gallery import CASES, failure_gallery, write_figures

SIDE = 40


@dataclass
class Judge:
    """Says of a picture what its grey says: NG above 100, the grey its score."""

    def inspect(self, image: U8) -> Inspection:
        grey = int(image[0, 0, 0])
        label = "NG" if grey > 100 else "OK"
        empty = np.zeros(image.shape[:2], bool)
        return Inspection(label, float(grey), 100.0, 1e9, empty.astype(np.float32), empty, (), "score", "")

    def show(self, path: Path) -> tuple[U8, Inspection]:
        image = decode(path)
        return image, self.inspect(image)


def prediction(folder: Path, label: str, grey: int, mask: Path | None = None) -> Prediction:
    path = folder / f"{label}{grey}.png"
    encode_png(path, np.full((SIDE, SIDE, 3), grey, np.uint8))
    defect = "good" if label == "good" else "hole"
    return Prediction(Sample(path.name, path, label, mask, defect=defect), float(grey), grey > 100)  # type: ignore[arg-type]


@pytest.fixture
def sheet(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The tiles and captions that are put on the sheet."""
    kept: list[Any] = []
    monkeypatch.setattr(
        module,
        "contact_sheet",
        lambda tiles, _columns, captions, **_: kept.append((tiles, captions)) or tiles[0],
    )
    return kept


def test_mistakes_come_first_and_each_has_its_truth_and_its_verdict(tmp_path: Path, sheet: list[Any]) -> None:
    told = [
        ("good", 20),
        ("good", 120),
        ("good", 10),
        ("good", 150),
        ("defect", 130),
        ("defect", 60),
        ("defect", 30),
    ]
    failure_gallery([prediction(tmp_path, *one) for one in told], Judge())  # type: ignore[arg-type]
    ((tiles, captions),) = sheet
    assert list(zip(captions[::2], captions[1::2], strict=True)) == [
        ("hole", "false OK 30"),  # the missed defect of the lowest score: the most confident mistake
        ("hole", "false OK 60"),
        ("good", "false NG 150"),
        ("good", "false NG 120"),
        ("hole", "NG 130"),
        ("good", "OK 10"),
        ("good", "OK 20"),
    ]
    assert [int(tile[0, 0, 0]) for tile in tiles[::2]] == [30, 60, 150, 120, 130, 10, 20]
    assert len(tiles) == len(captions)


def test_of_each_sort_only_the_first_few_are_shown(tmp_path: Path, sheet: list[Any]) -> None:
    failure_gallery([prediction(tmp_path, "good", grey) for grey in range(110, 130)], Judge())  # type: ignore[arg-type]
    ((_, captions),) = sheet
    assert captions[1::2] == [f"false NG {grey}" for grey in range(129, 129 - CASES, -1)]


def test_a_true_flaw_is_outlined_in_green(tmp_path: Path, sheet: list[Any]) -> None:
    mask = np.zeros((SIDE, SIDE), bool)
    mask[10:20, 10:20] = True
    encode_png(tmp_path / "mask.png", mask)
    failure_gallery([prediction(tmp_path, "defect", 50, tmp_path / "mask.png")], Judge())  # type: ignore[arg-type]
    ((tiles, _),) = sheet
    original, drawn = tiles
    green = (drawn == TRUE).all(axis=2)
    assert green.any()
    ys, xs = np.nonzero(green)
    assert (ys.min(), ys.max()) == pytest.approx((10, 19), abs=1)
    assert (xs.min(), xs.max()) == pytest.approx((10, 19), abs=1)
    assert not (original == TRUE).all(axis=2).any()


def test_without_images_there_is_no_sheet() -> None:
    assert failure_gallery([], Judge()) is None  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Inspector]:
    root = tmp_path_factory.mktemp("set")
    category(root, "plate", 0)
    folder = train_run(run_config(root, "plate"), root / "runs").folder
    return evaluate_run(folder), Inspector.open(folder.path)


def test_what_can_be_drawn_is_written_and_nothing_else(
    evaluated: tuple[Any, Inspector], tmp_path: Path
) -> None:
    evaluation, inspector = evaluated
    written = write_figures(tmp_path / "all", evaluation, inspector)
    assert [path.name for path in written] == [
        "roc.png",
        "pr.png",
        "scores.png",
        "confusion.png",
        "gallery.jpg",
    ]
    assert all(decode(path).std() > 0 for path in written)
    good = [p for p in evaluation.predictions if p.sample.label == "good"]
    written = write_figures(tmp_path / "good", replace(evaluation, predictions=tuple(good)), inspector)
    assert [path.name for path in written] == ["scores.png", "confusion.png", "gallery.jpg"]
    assert sorted(path.name for path in (tmp_path / "good").iterdir()) == sorted(
        path.name for path in written
    )


def test_a_probability_that_is_shown_has_its_diagram(
    evaluated: tuple[Any, Inspector], tmp_path: Path
) -> None:
    evaluation, inspector = evaluated
    shown = ShownProbability(0.1, 0.2, Reliability((8,), (0.5,), (0.4,)))
    written = write_figures(tmp_path, replace(evaluation, shown=shown), inspector)
    assert "reliability.png" in [path.name for path in written]


def test_the_curves_are_given_the_deployed_threshold(
    evaluated: tuple[Any, Inspector], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation, inspector = evaluated
    given: dict[str, Any] = {}
    for name in ("roc_figure", "pr_figure", "score_histogram"):
        monkeypatch.setattr(
            module,
            name,
            lambda _labels, _scores, threshold, _name=name, **_: given.update({_name: threshold}) or b"png",
        )
    write_figures(tmp_path, evaluation, inspector)
    assert set(given.values()) == {inspector.manifest.thresholds.image.value}
    assert len(given) == 3
