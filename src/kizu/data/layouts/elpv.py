"""ELPV: electroluminescence photographs of solar cells, 300 x 300 grey, from the PyPI package `elpv-dataset`.

Experts gave each cell a probability of being defective. Good is 0, defective is 1; the cells in between (401
of 2624) are left out. There are no masks. A seeded part of the good cells is for testing, with all defective
ones.

Categories: "mono" (the default), "poly" (crystalline), "all". The images are CC BY-NC-SA 4.0.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import DataError, MissingExtraError
from kizu.core.randomness import rng_for
from kizu.core.registry import look_up
from kizu.core.split import Split
from kizu.data.layouts.files import IMAGE, Example, ensure_folder
from kizu.data.manifest import GOOD, Label, Manifest, Sample
from kizu.data.splits import with_good_tests

CELLS = {"mono": ("mono",), "poly": ("poly",), "all": ("mono", "poly")}
"""The kinds of cell in each category."""
_LABELS: dict[float, Label] = {0.0: "good", 1.0: "defect"}
"""By the probability of being defective."""

EXAMPLE: Example = {
    **{f"images/cell{number:04}.png": IMAGE for number in range(16)},
    "labels.csv": "".join(
        f"images/cell{number:04}.png  {('0.0', '1.0', '0.3333333333333333', '0.0')[number % 4]}   mono\n"
        for number in range(16)
    ),
}


class ElpvOptions(Config):
    """How much of the good cells is for testing."""

    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    seed: int = 0


def scan(
    root: Path | None = None, category: str | None = None, options: ElpvOptions = ElpvOptions()
) -> Manifest:
    """List one category. `root`: the folder that holds `labels.csv`; None: the installed package's.

    Raises `MissingExtraError` when neither is there, `DataError` when the labels cannot be understood.
    """
    category = category or "mono"
    cells = look_up(CELLS, category, noun="category of elpv")
    folder = _find_installed() if root is None else ensure_folder(root.expanduser())
    rows = [row for row in _labels(folder / "labels.csv") if row[2] in cells]
    labelled = tuple(_sample(folder, name, label) for name, label, _ in rows if label is not None)
    notes = (f"{len(rows) - len(labelled)} cells of uncertain label left out",)
    manifest = Manifest("elpv", category, folder, labelled, notes)
    return with_good_tests(manifest, options.test_fraction, rng_for(options.seed, "elpv", "test"))


def _find_installed() -> Path:
    """The package's data folder, found without running the package."""
    spec = find_spec("elpv_dataset")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError("the solar cells are not installed", hint="pip install 'kizu[demo]'")
    return ensure_folder(Path(spec.submodule_search_locations[0]) / "data")


def _labels(path: Path) -> list[tuple[str, Label | None, str]]:
    """(file, label, kind of cell) of each row; the label is None where the experts were not sure."""
    try:
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        hint = "the root must hold labels.csv and images/"
        told = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"cannot read {path}: {told}", hint=hint) from error
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            name, probability, cell = line.split()
            rows.append((name, _LABELS.get(float(probability)), cell))
        except ValueError as error:
            raise DataError(f"{path}, line {number}: not 'file probability kind'") from error
    return rows


def _sample(folder: Path, name: str, label: Label) -> Sample:
    if label == "good":
        return Sample(name, folder / name, label, defect=GOOD, split=Split.TRAIN)
    return Sample(name, folder / name, label, defect="defect", split=Split.TEST)
