"""Run folders: `<output_dir>/<model>/<category>/<run_id>/`."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kizu.core.errors import DataError, OutputError
from kizu.runs.versions import bundle_in_force


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

    def read_meta(self) -> dict[str, Any]:
        """The contents of `meta.json`."""
        return dict(json.loads(self.meta.read_text(encoding="utf-8")))


def new_run(output_dir: Path, model: str, category: str, run_id: str | None) -> RunFolder:
    """Make an empty run folder. Raises `OutputError` when it exists or cannot be made."""
    run_id = run_id or datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")[:-3]
    if Path(run_id).name != run_id or run_id in {".", ".."}:
        raise OutputError(f"{run_id!r} cannot be a run id", hint="give one plain folder name")
    path = output_dir / model / category / run_id
    try:
        path.mkdir(parents=True)
    except FileExistsError as error:
        raise OutputError(f"the run {path} exists", hint="choose another --run-id") from error
    except OSError as error:
        raise OutputError(
            f"cannot make the run folder {path}: {error.strerror}", hint="choose a writable --output-dir"
        ) from error
    return RunFolder(path)


def open_run(path: Path) -> RunFolder:
    """A finished run. Raises `DataError` when `path` is not one."""
    run = RunFolder(path)
    if not run.bundle.is_dir():
        found = sorted(str(meta.parent) for meta in path.glob("**/meta.json"))[:5] if path.is_dir() else []
        raise DataError(
            f"{path} is not a finished run: it has no {run.bundle.name} folder",
            hint=f"did you mean {found[-1]}?" if found else "give the folder that `kizu train` printed",
        )
    return run
