"""A data set in, a run folder with its card out."""

from collections.abc import Callable
from typing import Any

from kizu.core.errors import ConfigError
from kizu.core.lists import comma_separated
from kizu.core.work import Work
from kizu.lab.train import RunConfig, TrainedRun, train_run
from kizu.pipeline.config import read_yaml
from kizu.pipeline.presets import find_preset
from kizu.report.model_card import write_model_card
from kizu.runs.folder import RunFolder
from kizu.tasks.data import with_layout
from kizu.tasks.index import index_trained
from kizu.tasks.lab_options import PipelineOptions, RunOptions
from kizu.tasks.options import DataOptions, parse_grid, parse_size


def run_config(pipeline: PipelineOptions, data: DataOptions) -> RunConfig:
    """The config file with what the options change. Raises `ConfigError`."""
    config = _base(pipeline)
    layers, zones = pipeline.layers, pipeline.zones
    changes: dict[str, dict[str, Any]] = {
        "embedding": drop_none(
            backbone=pipeline.backbone,
            layers=comma_separated(layers, where="--layers") if layers else None,
        ),
        "placement": drop_none(
            image_size=parse_size(pipeline.image_size) if pipeline.image_size else None,
            pixels=pipeline.pixels,
            smallest_flaw_px=pipeline.smallest_flaw_px,
            resize=parse_size(pipeline.resize, flag="--resize") if pipeline.resize else None,
            tile_overlap=pipeline.tile_overlap,
        ),
        "calibration": drop_none(
            false_alarm_rate=pipeline.false_alarm_rate,
            rule=pipeline.rule,
            folds=pipeline.folds,
            fraction=pipeline.fraction,
            zones=parse_grid("--zones", zones) if zones else None,
        ),
        "data": drop_none(
            layout=data.layout,
            category=data.category,
            root=None if data.root is None else str(data.root),
            group=pipeline.group,
        ),
    }
    with_method = config.with_detector(pipeline.method, drop_none(coreset=pipeline.coreset))
    made = with_method.changed(changes, seed=pipeline.seed, where="options")
    if pipeline.resize and made.placement.tile_overlap is None and made.placement.tell_crop():
        raise ConfigError(
            f"--resize {pipeline.resize} without --tile-overlap: {made.placement.tell_crop()}",
            hint="add --tile-overlap 0.25 to look at all of it; a crop on purpose goes into --config, as placement:"
            " {resize: ...}",
        )
    return made


def _base(pipeline: PipelineOptions) -> RunConfig:
    """The config file under the preset, if any, with its layers only on its own backbone."""
    where = str(pipeline.config_file or "--preset")
    values = (read_yaml(pipeline.config_file) if pipeline.config_file else None) or {}
    if pipeline.preset is not None and isinstance(values, dict):
        values = {**values, "preset": pipeline.preset}
    config = RunConfig.parse(values, where=where)
    if config.preset is None:
        return config
    own = find_preset(config.preset)
    if pipeline.method not in (None, own.detector["kind"]):
        raise ConfigError(
            f"the preset {config.preset} is of the method {own.detector['kind']}, not of {pipeline.method}",
            hint="leave --method out, or the preset",
        )
    embedding = config.embedding
    if pipeline.backbone not in (None, embedding.backbone) and embedding.layers == own.embedding["layers"]:
        config = config.changed({"embedding": {"layers": None}}, where=where)
    return config


def train(
    pipeline: PipelineOptions,
    data: DataOptions,
    options: RunOptions,
    work: Work,
    on_estimate: Callable[[int], None] | None = None,
) -> TrainedRun:
    """Fit, calibrate, and write the run folder with its model card, and what its product looks like; or find that this
    was done before."""

    def finish(folder: RunFolder) -> None:
        index_trained(folder, work)
        write_model_card(folder)

    if pipeline.config_file is None:
        data = with_layout(data, work)
    return train_run(
        run_config(pipeline, data),
        options.output_dir,
        run_id=options.run_id,
        skip_broken=options.skip_broken,
        work=work,
        on_estimate=on_estimate,
        on_written=finish,
    )


def drop_none(**values: Any) -> dict[str, Any]:
    """Those that are not None."""
    return {name: value for name, value in values.items() if value is not None}
