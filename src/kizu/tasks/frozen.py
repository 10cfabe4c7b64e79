"""A frozen pipeline measured on categories, with its report and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from kizu.bundles.store import ensure_outside
from kizu.core.errors import ConfigError, OutputError
from kizu.core.files import is_writable, write_bytes
from kizu.core.locks import locked, locked_name
from kizu.core.parts import sweep_file_parts
from kizu.core.work import Work
from kizu.inspection.inspector import Inspector
from kizu.protocol.freeze import read_frozen
from kizu.protocol.frozen import MethodResult, SeedResult, evaluate_frozen, pipeline_folder
from kizu.protocol.ledger import LEDGER, user_ledger
from kizu.report.gallery import write_figures
from kizu.report.portfolio import write_portfolio
from kizu.tasks.data import scan_all
from kizu.tasks.lab_options import FrozenOptions
from kizu.tasks.options import CategoriesOptions

OUTPUT_DIR = Path("runs/eval")


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Every method on every category, and where it is written."""

    results: list[MethodResult]
    folder: Path
    """In the output folder, this pipeline's own."""
    figures: Path | None
    """Where the first seed's figures lie beside the frozen file; None: nothing could be drawn, or it is sealed."""


def evaluate_frozen_file(options: FrozenOptions, where: CategoriesOptions, work: Work) -> Portfolio:
    """Fit and measure for each of its seeds; write `report.md`, `report.html`, and figures beside the frozen file too.

    Raises `ConfigError` without categories, `LeakageError` for one that it was designed on.
    """
    if options.frozen is None or options.categories is None:
        raise ConfigError("--frozen needs --categories", hint="name those to evaluate, comma separated")
    frozen = read_frozen(options.frozen)
    output_dir = options.output_dir or OUTPUT_DIR
    ensure_outside(output_dir)
    home = pipeline_folder(output_dir, frozen)
    figures = options.frozen.parent / "figs" / home.name
    copied = is_writable(figures)
    if not copied:
        work.note(f"{figures} cannot be written: the figures lie in {home} only")

    def draw(category: str, method: str, result: SeedResult, folder: Path) -> None:
        if find_spec("matplotlib") is None:
            return
        fitted = result.trial.fitted
        inspector = Inspector(fitted.bundle, work=work, pipeline=fitted.pipeline)
        pictures = write_figures(folder / "figs", result.trial.evaluation, inspector)
        if copied and result.seed == frozen.seeds[0]:
            _copy(pictures, figures / f"{category}-{method}")

    with locked_name(home):  # for hours: a second one into the same folder is told at once
        results = list(
            evaluate_frozen(
                frozen,
                scan_all(options.categories, where, work),
                output_dir,
                ledgers=[options.frozen.parent / LEDGER, user_ledger()],
                include_dev=options.include_dev,
                work=work,
                on_seed=draw,
            )
        )
        with locked(home):
            sweep_file_parts(home / "figs")
            write_portfolio(output_dir, frozen, results)
        scatter = home / "figs" / "auroc.png"
        if not copied or not scatter.exists():
            return Portfolio(results, home, None)
        _copy([scatter], figures)
    return Portfolio(results, home, figures)


def _copy(pictures: Sequence[Path], folder: Path) -> None:
    with locked(folder):
        for picture in pictures:
            try:
                content = picture.read_bytes()
            except OSError as error:
                raise OutputError(f"cannot read {picture} back: {error.strerror}") from error
            write_bytes(folder / picture.name, content)
