"""Scores that thresholds rest on, as they lie in a run: kept so that another threshold costs no inference.

calibration.json                of the good images that set the thresholds, written at the training
versions/<n>/calibration.json   the same of what an update learned
versions/<n>/labelled.jsonl     of the labelled images of a file that a version's thresholds were chosen on
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import model_validator

from kizu.bundles.store import read_fit_hash
from kizu.core.config import Stored
from kizu.core.files import read_rows, read_stored, write_jsonl, write_stored
from kizu.core.types import F32
from kizu.data.manifest import Label, Sample
from kizu.decision.calibration import CalibrationConfig, HeldOut, image_threshold, pixel_threshold
from kizu.decision.good_scores import GoodScores, number_groups
from kizu.decision.thresholds import Threshold
from kizu.runs.versions import FIRST, LABELLED, read_history, version_folder

CALIBRATION = "calibration.json"
_AGAIN = "copy the file again, or remove it: the images are scored again"


class CalibrationScores(Stored):
    """`calibration.json`: what was said of the good images that set the thresholds, to the last bit.

    One number of each list is of one image.
    """

    fit_sha256: str
    """Of the graph and arrays that gave the scores: they hold for bundles with these, and for no others."""
    folds: int | None = None
    """The scores are of so many fits, each of which had not seen what it scored; None: of the model that runs."""
    left_out: bool = False
    """They were fitted on, and each is scored as by a fit without its group."""
    monotone: bool = False
    """Then no good image that is learned besides can raise one."""
    ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    """What is the same for images that may not be parted; None: it is one of its own."""
    scores: tuple[float, ...]
    peaks: tuple[float, ...]
    """The highest pixel of each map."""

    @model_validator(mode="after")
    def _one_of_each(self) -> Self:
        counts = {len(self.ids), len(self.groups), len(self.scores), len(self.peaks)}
        if len(counts) != 1:
            raise ValueError(f"it has lists of {', '.join(map(str, sorted(counts)))} images")
        return self

    @classmethod
    def of(
        cls, fit_sha256: str, samples: Sequence[Sample], held: HeldOut, *, folds: int | None = None
    ) -> Self:
        """`samples`: those that were scored, in the order of `held`."""
        sizes = np.bincount(held.groups)
        return cls(
            fit_sha256=fit_sha256,
            folds=folds,
            left_out=held.left_out,
            monotone=held.monotone,
            ids=tuple(sample.id for sample in samples),
            groups=tuple(str(group) if sizes[group] > 1 else None for group in held.groups),
            scores=tuple(map(float, held.scores)),
            peaks=tuple(map(float, held.peaks)),
        )

    def part(self, category: str) -> Self:
        """Those of one category of a model of several, whose ids begin with its name; of a model of one, all."""
        rows = [index for index, name in enumerate(self.ids) if name.startswith(f"{category}/")]
        if not rows:
            return self
        names = ("ids", "groups", "scores", "peaks")
        return self.model_copy(update={k: tuple(getattr(self, k)[row] for row in rows) for k in names})

    def arrays(self) -> tuple[F32, F32]:
        """Scores (N,) and peaks (N,), as they were computed."""
        return np.array(self.scores, np.float32), np.array(self.peaks, np.float32)

    def good(self) -> tuple[GoodScores, GoodScores]:
        """The same, with their groups, as a rule takes them."""
        names = [f"of {group}" if group is not None else f"image {i}" for i, group in enumerate(self.groups)]
        numbers = number_groups(names)
        scores, peaks = (
            GoodScores.of(x, numbers, left_out=self.left_out, monotone=self.monotone) for x in self.arrays()
        )
        return scores, peaks

    def image_threshold(self, config: CalibrationConfig) -> Threshold:
        """By the rule of `config`. Raises as `decision.calibration.image_threshold`."""
        return self._out_of_folds(image_threshold(config, self.good()[0]))

    def pixel_threshold(self, config: CalibrationConfig) -> Threshold:
        """By a pixel rule of `config` that looks at the peaks alone. Raises as `image_threshold`."""
        return self._out_of_folds(pixel_threshold(config, self.good()[1], self.arrays()[1]))

    def _out_of_folds(self, threshold: Threshold) -> Threshold:
        return threshold if self.folds is None else threshold.out_of(self.folds)


class LabelledScore(Stored):
    """A line of `labelled.jsonl`."""

    id: str | None
    """The image, as the file called it; None: it did not."""
    sha256: str | None
    """Of the image's bytes; None where nothing told them."""
    label: Label
    score: float


def write_calibration(
    folder: Path, samples: Sequence[Sample], held: HeldOut, *, folds: int | None = None
) -> CalibrationScores:
    """`calibration.json` of a version that lies in `folder`, whose `bundle/` is written already: of a run that is being
    trained the run folder. `samples`: those that were scored, in the order of `held`, without broken ones.

    Raises `ValueError` where these are not as many as there are scores.
    """
    values = CalibrationScores.of(read_fit_hash(folder / "bundle"), samples, held, folds=folds)
    write_stored(folder / CALIBRATION, values)
    return values


def write_scores(run: Path, version: int, scores: CalibrationScores) -> None:
    """Keep what was scored again for a version of the run. For who holds it."""
    write_stored(_place(run, version), scores)


def read_calibration(run: Path, version: int) -> CalibrationScores | None:
    """The scores that the thresholds of a version rest on; None where none were kept, or they are another model's.

    Raises `DataError` for a broken file, `BundleError` for a broken bundle.
    """
    path = _place(run, version)
    if not path.exists():
        return None
    found = read_stored(path, CalibrationScores, hint=_AGAIN)
    return found if found.fit_sha256 == read_fit_hash(version_folder(run, version)) else None


def _place(run: Path, version: int) -> Path:
    return version_folder(run, read_history(run).model_of(version)).with_name(CALIBRATION)


def write_labelled(path: Path, rows: Sequence[LabelledScore]) -> None:
    """A line for each image."""
    write_jsonl(path, (row.model_dump(mode="json") for row in rows))


def list_labelled(run: Path, version: int | None = None) -> list[LabelledScore]:
    """Of all versions that were ever in force the labelled images of files that thresholds were chosen on; `version`:
    of that one alone. Raises `DataError`."""
    numbers = read_history(run).made("thresholds") if version is None else (version,)
    paths = [version_folder(run, number).with_name(LABELLED) for number in numbers if number != FIRST]
    return [row for path in paths if path.exists() for row in read_rows(path, LabelledScore)]
