"""Which pipeline to take, and a config for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kizu.core.errors import ConfigError
from kizu.core.files import write_text
from kizu.core.lists import comma_separated
from kizu.core.locks import locked
from kizu.core.work import Work
from kizu.imaging.placement import DEFAULT_PIXELS
from kizu.lab.budget import Budget
from kizu.lab.recommend import Recommendation, recommend
from kizu.lab.resolution import show_sizes
from kizu.lab.search import search
from kizu.lab.searched import Searched
from kizu.lab.size_curve import SizeCurve
from kizu.lab.train import RunConfig
from kizu.lab.with_defects import DefectsTried, try_with_defects
from kizu.pipeline.config import PipelineConfig
from kizu.report.defects import defects_table
from kizu.report.recommended_page import write_recommended_page, write_searched_page
from kizu.report.recommending import as_comment, search_table, search_told, sizes_table, sizes_told
from kizu.tasks.data import data_config, scan_told, with_layout
from kizu.tasks.lab_options import BudgetOptions
from kizu.tasks.options import DataOptions


@dataclass(frozen=True, slots=True)
class Recommended:
    """A method, and the size of its input."""

    found: Recommendation
    sizes: SizeCurve | None
    """None: no method fits the budget."""

    @property
    def config(self) -> PipelineConfig | None:
        """What to train; None: nothing fits the budget."""
        return None if self.sizes is None else self.sizes.config

    @property
    def reason(self) -> str:
        """Of the choice, in words."""
        return self.found.reason if self.sizes is None else f"{self.found.reason}; {self.sizes.reason}"


def recommend_for(data: DataOptions, options: BudgetOptions, work: Work) -> Recommended:
    """Try the candidates on the good images, and the best one at several sizes; write the choice where a file was named
    and something fits."""
    if options.backbones is not None:
        raise ConfigError("--backbones is for --search", hint="give --search too, or leave it out")
    data = with_layout(data, work)
    manifest = scan_told(data_config(data), work)
    found = recommend(manifest, _budget(options), base=_base(options), work=work)
    sizes = None
    if found.chosen is not None:
        flaw = options.smallest_flaw_px
        sizes = show_sizes(manifest, found.chosen.config, found.budget, smallest_px=flaw, work=work)
    told = Recommended(found, sizes)
    if sizes is not None and told.config is not None:
        lines = [f"kizu recommend: {told.reason}", sizes_told(sizes), sizes_table(sizes), *sizes.warnings]
        _write(options.output, told.config, data, lines)
        if options.output is not None:
            write_recommended_page(page_of(options.output), found, sizes)
    return told


def search_for(data: DataOptions, options: BudgetOptions, work: Work) -> Searched:
    """Search networks, layers, sizes, methods and settings; write the winner where a file was named and one fits."""
    named, data = options.backbones, with_layout(data, work)
    found = search(
        scan_told(data_config(data), work),
        _budget(options),
        base=_base(options),
        seconds=options.search_seconds,
        backbones=None if named is None else comma_separated(named, where="--backbones"),
        smallest_px=options.smallest_flaw_px,
        work=work,
    )
    if found.winner is not None:
        lines = [f"kizu recommend --search: {found.reason}", search_table(found), *search_told(found)]
        _write(options.output, found.winner.contender.config, data, lines)
        if options.output is not None:
            write_searched_page(page_of(options.output), found)
    return found


def defects_for(data: DataOptions, options: BudgetOptions, work: Work) -> DefectsTried:
    """Whether to learn from labelled defects; write the config of what is offered where a file was named.

    Raises `ConfigError` for options that are for other questions.
    """
    if options.search or options.backbones is not None or options.smallest_flaw_px is not None:
        raise ConfigError(
            "--with-defects compares methods on one network at one size",
            hint="leave --search, --backbones and --smallest-flaw-px out; --config gives another network or size",
        )
    found = try_with_defects(scan_told(data_config(data), work), base=_base(options), work=work)
    if found.offered is not None:
        lines = [f"kizu recommend --with-defects: {found.reason}", defects_table(found)]
        _write(options.output, found.offered.config, data, lines)
    return found


def page_of(config: Path) -> Path:
    """The page that lies beside a config that was written."""
    return config.with_suffix(".html")


def _budget(options: BudgetOptions) -> Budget:
    return Budget(
        latency_ms=options.latency_ms,
        memory_mb=options.memory_mb,
        fit_seconds=options.fit_seconds,
        pixels=options.pixels,
        latency_ratio=options.latency_ratio,
    )


def _base(options: BudgetOptions) -> PipelineConfig:
    """The config that was named, or the defaults; where it leaves the size open, with no more pixels than may be."""
    base = PipelineConfig.read(options.config_file) if options.config_file else PipelineConfig()
    if options.pixels is None or base.placement.pixels is None:
        return base
    fewest = min(options.pixels, base.placement.pixels or DEFAULT_PIXELS)
    return base.changed({"placement": {"pixels": fewest}}, where="--pixels")


def _write(output: Path | None, config: PipelineConfig, data: DataOptions, lines: Sequence[str]) -> None:
    if output is None:
        return
    run = RunConfig(**dict(config), data=data_config(data))
    with locked(output.parent):
        write_text(output, as_comment(lines) + run.to_yaml())
