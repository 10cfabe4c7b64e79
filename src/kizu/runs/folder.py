"""Run folders: `<output_dir>/<model>/<category>/<run_id>/`."""

import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from kizu.bundles.manifest import Bundle
from kizu.bundles.references import FILE as RETRIEVAL
from kizu.bundles.references import References, read_references
from kizu.bundles.store import ensure_outside, is_bundle, load, read_hash
from kizu.core.errors import DataError, OutputError
from kizu.core.files import new_folder, read_rows, read_stored, write_jsonl
from kizu.core.locks import RESULTS_LOCK, StillThere, locked
from kizu.core.parts import is_part, make_folder, sweep_file_parts
from kizu.core.registry import did_you_mean
from kizu.runs.contents import MetricsFile, PredictionRow, ProbabilityFile, RunMeta, ThresholdsFile
from kizu.runs.versions import bundle_in_force

TRAIN_ANEW = "copy the run folder again from where it is whole, or train anew"
SET_ANEW = "copy the file again, or remove it and set the thresholds anew"
EVALUATE_AGAIN = "run kizu evaluate again"
WRITING_PATIENCE_S = 120.0
"""Who finds another evaluation writing waits so long: it draws figures, and then it is done."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Where one run keeps what it made."""

    path: Path

    @property
    def config(self) -> Path:
        """The settings, all of them, as `--config` takes them."""
        return self.path / "config.yaml"

    @property
    def meta(self) -> Path:
        """Versions, hashes, times."""
        return self.path / "meta.json"

    @property
    def manifest(self) -> Path:
        """Which images there were, with their hashes."""
        return self.path / "manifest.jsonl"

    @property
    def bundle(self) -> Path:
        """The fitted detector: of its versions the one in force."""
        return bundle_in_force(self.path)

    @property
    def metrics(self) -> Path:
        """What `evaluate` measured."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        """What `evaluate` said of each test image."""
        return self.path / "preds_test.jsonl"

    @property
    def predictions_dir(self) -> Path:
        """What `predict` wrote: a line and pictures for each test image."""
        return self.path / "predictions"

    @property
    def thresholds(self) -> Path:
        """The thresholds in force, their rules, and what was in force before."""
        return self.path / "thresholds.json"

    @property
    def train_predictions(self) -> Path:
        """Scores of the good images it was fitted and calibrated on."""
        return self.path / "preds_train.jsonl"

    @property
    def study(self) -> Path:
        """Which test defects thresholds were chosen on; these are not measured."""
        return self.path / "study.json"

    @property
    def probability(self) -> Path:
        """How a score is shown as a probability, where labelled images have been there to learn it from."""
        return self.path / "probability.json"

    @property
    def retrieval(self) -> Path:
        """What the product looks like, so that a shelf of models knows whose picture it is."""
        return self.path / RETRIEVAL

    @property
    def figures(self) -> Path:
        """Curves, scores, outcomes and cases, as pictures."""
        return self.path / "figs"

    def part(self, category: str) -> "RunFolder":
        """Where a run of several categories keeps what it measured of one."""
        return RunFolder(self.path / "categories" / category)

    @property
    def page(self) -> Path:
        """The worst and the best cases, to look at."""
        return self.path / "report.html"

    @property
    def consistency(self) -> Path:
        """Whether exported files decide as the run does."""
        return self.path / "consistency.json"

    def elsewhere(self, dataset: str, category: str, manifest_sha256: str) -> "RunFolder":
        """Where a run keeps what it measured of another data set than its own."""
        name = re.sub(r"[^\w.+-]", "_", f"{dataset}-{category}")
        return RunFolder(self.path / "evaluations" / f"{name}-{manifest_sha256[:8]}")

    def locked(self) -> AbstractContextManager[StillThere]:
        """Whoever changes the model holds the run until it is changed: its versions, its thresholds.

        Raises `OutputError` when another command does.
        """
        return locked(self.path)

    @contextmanager
    def writing(self) -> Iterator[StillThere]:
        """Whoever writes what was measured, all the files that belong together, holds these meanwhile.

        A lock of its own: an evaluation that took long does not end in vain because an update takes long as well; and
        it waits longer, for the other one is about to end. Raises `OutputError` as `locked`.
        """
        with locked(self.path, name=RESULTS_LOCK, patience_s=WRITING_PATIENCE_S) as still_there:
            for place in (self.figures, self.path / "evaluations", self.path / "categories"):
                sweep_file_parts(place, deep=True)
            yield still_there

    def ensure_in_force(self, bundle: Bundle) -> None:
        """Raise `OutputError` unless `bundle`, which was read from here, is what is in force now."""
        if read_hash(self.bundle) != bundle.bundle_sha256:
            raise OutputError(
                f"{self.path} has another version in force, or other thresholds, than when this began",
                hint="nothing was written: run the same command again",
            )

    def open_bundle(self) -> Bundle:
        """The version in force, read once and with its hash, so that both are of one. Raises `BundleError`."""
        return load(self.bundle)

    def read_meta(self) -> RunMeta:
        """Raises `DataError` when the file is missing or broken, as the others do."""
        return read_stored(self.meta, RunMeta, hint=TRAIN_ANEW)

    def read_metrics(self) -> MetricsFile | None:
        """None: not evaluated."""
        if not self.metrics.exists():
            return None
        return read_stored(self.metrics, MetricsFile, hint=EVALUATE_AGAIN)

    def read_thresholds(self) -> ThresholdsFile | None:
        """None: in force are those that the run was trained with."""
        if not self.thresholds.exists():
            return None
        return read_stored(self.thresholds, ThresholdsFile, hint=SET_ANEW)

    def read_probability(self) -> ProbabilityFile | None:
        """None: there were no labelled images to learn it from."""
        if not self.probability.exists():
            return None
        return read_stored(self.probability, ProbabilityFile, hint=SET_ANEW)

    def read_references(self) -> References | None:
        """None: `kizu index` has not made any. Raises `BundleError` for a broken file."""
        return read_references(self.retrieval)


def read_predictions(path: Path) -> list[PredictionRow]:
    """What `write_predictions` wrote. Raises `DataError`."""
    return read_rows(path, PredictionRow, hint=EVALUATE_AGAIN)


def write_predictions(path: Path, rows: Iterable[PredictionRow]) -> None:
    """A line for each image."""
    write_jsonl(path, (row.model_dump(mode="json") for row in rows))


def run_path(output_dir: Path, model: str, category: str, run_id: str | None) -> Path:
    """Where a run will lie; without a name, under the present time.

    Raises `OutputError` for what is no name, and for a place in a bundle.
    """
    ensure_outside(output_dir)
    run_id = run_id or datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    if Path(run_id).name != run_id or run_id in {".", ".."}:
        raise OutputError(f"{run_id!r} cannot be a run id", hint="give one plain folder name")
    return output_dir / model / category / run_id


@contextmanager
def make_run(path: Path) -> Iterator[RunFolder]:
    """An empty run folder beside `path`; it is there under that name, whole, when the block has ended, else not at all.

    So what fails, is interrupted or is killed can be asked for again under its name. Raises `OutputError` when `path`
    exists, is being made by another command, or cannot be made.
    """
    try:
        make_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"cannot make the run folder {path}: {error.strerror}", hint="choose a writable --output-dir"
        ) from error
    with new_folder(path, hint="choose another --run-id") as temporary:
        yield RunFolder(temporary)


def open_run(path: Path) -> RunFolder:
    """A finished run. Raises `DataError` when `path` is not one."""
    run = RunFolder(path)
    if is_bundle(path):
        around = [folder for folder in path.resolve().parents[:3] if (folder / "meta.json").is_file()]
        raise DataError(
            f"{path} is a bundle, not a run",
            hint=f"give the run, {around[0]}" if around else "give the folder that `kizu train` printed",
        )
    if not run.bundle.is_dir():
        beside = path.glob("**/meta.json") if path.is_dir() else ()
        found = sorted(str(meta.parent) for meta in beside if not is_part(meta.parent))[:5]
        raise DataError(
            f"{path} is not a finished run: it has no {run.bundle.name} folder",
            hint=f"did you mean {found[-1]}?"
            if found
            else did_you_mean(path, "give the folder that `kizu train` printed"),
        )
    return run
