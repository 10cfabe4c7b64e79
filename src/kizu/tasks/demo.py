"""Fit and measure methods on real and on drawn parts, and write a page to look at.

<output_dir>/demo.json            which run folders this demo made: the next one replaces these, and nothing else
<output_dir>/runs/, drawn_parts/, index.html
"""

import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from kizu.core.config import Stored
from kizu.core.errors import OutputError
from kizu.core.files import read_stored, write_stored
from kizu.core.locks import locked
from kizu.core.work import Work
from kizu.data.scan import DataConfig
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import Evaluation, measure_run
from kizu.lab.train import RunConfig, TrainedRun, train_run
from kizu.pages.content import Part
from kizu.report.cases import evaluation_part, write_page
from kizu.tasks.lab_options import DemoOptions

METHODS = ("patchcore", "padim")
RUN_ID = "demo"


class Mark(Stored):
    """The contents of `demo.json`."""

    runs: tuple[str, ...]
    """Below `runs/`, with forward slashes; each ends in `RUN_ID`."""


@dataclass(frozen=True, slots=True)
class DemoRun:
    """One method on one set."""

    run: TrainedRun
    evaluation: Evaluation

    @property
    def category(self) -> str:
        """Of which set."""
        return self.run.bundle.manifest.category

    @property
    def name(self) -> str:
        """Category and method."""
        return f"{self.category} {self.run.bundle.manifest.model}"

    @property
    def seconds(self) -> dict[str, float]:
        """By stage."""
        return self.run.seconds | self.evaluation.seconds


@dataclass(slots=True)
class Demo:
    """What was made."""

    page: Path
    runs: list[DemoRun] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    """By stage, of all runs, and of all of it."""


def run_demo(options: DemoOptions, work: Work) -> Demo:
    """Replace what an earlier demo made in the folder. Raises `OutputError` where its runs would meet others."""
    with locked(options.output_dir):
        return _run_demo(options, _telling_once(work))


def _telling_once(work: Work) -> Work:
    """Each set is looked at by every method, and says the same each time."""
    tell, told = work.on_note, set[str]()

    def note(text: str) -> None:
        if tell is not None and text not in told:
            told.add(text)
            tell(text)

    return replace(work, on_note=note)


def _run_demo(options: DemoOptions, work: Work) -> Demo:
    mark = options.output_dir / "demo.json"
    runs = options.output_dir / "runs"
    _remove_earlier(mark, runs)
    sets = [
        DataConfig(layout="elpv", category="mono"),
        DataConfig(layout="demo", root=options.output_dir / "drawn_parts", category="disc"),
    ]
    made = Demo(options.output_dir / "index.html")
    parts: list[Part] = []
    start = time.perf_counter()
    configs = [_with_backbone(RunConfig(data=data, seed=options.seed), options.backbone) for data in sets]
    for base in configs:
        for method in METHODS:
            config = base.with_detector(method, {})
            place = Path(method) / str(base.data.category) / RUN_ID
            if (runs / place).exists():
                raise OutputError(
                    f"{runs / place} exists, and no demo says that it made it",
                    hint="choose another --output-dir",
                )
            write_stored(mark, Mark(runs=(*_read_mark(mark), place.as_posix())))
            run = train_run(config, runs, run_id=RUN_ID, work=work)
            measured = measure_run(run.folder, work=work)
            found = DemoRun(run, measured.evaluation)
            made.runs.append(found)
            parts.append(evaluation_part(Inspector(measured.bundle, work=work), found.evaluation))
            for stage, value in found.seconds.items():
                made.seconds[stage] = made.seconds.get(stage, 0.0) + value
    made.seconds["all"] = time.perf_counter() - start
    write_page(made.page, "Kizu demo", parts)
    return made


def _with_backbone(config: RunConfig, backbone: str | None) -> RunConfig:
    """The same with another network."""
    if backbone is None:
        return config
    embedding = config.embedding.model_copy(update={"backbone": backbone, "layers": None})
    return config.model_copy(update={"embedding": embedding})


def _read_mark(mark: Path) -> tuple[str, ...]:
    """The run folders that an earlier demo says it made."""
    hint = "choose another --output-dir, or remove the file"
    return read_stored(mark, Mark, hint=hint).runs if mark.exists() else ()


def _remove_earlier(mark: Path, runs: Path) -> None:
    for name in _read_mark(mark):
        place = (runs / name).resolve()
        if not place.is_relative_to(runs.resolve()) or place.name != RUN_ID:
            raise OutputError(f"{mark} names {name}, which is no demo's run", hint="remove the file")
        try:
            if place.exists():
                shutil.rmtree(place)
        except OSError as error:
            raise OutputError(
                f"cannot remove the earlier demo's {place}: {error.strerror or error}",
                hint="remove it by hand, or choose another --output-dir",
            ) from error
    if mark.exists():
        write_stored(mark, Mark(runs=()))
