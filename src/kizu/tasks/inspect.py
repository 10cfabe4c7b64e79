"""Pictures in, verdicts out: a folder, a list, one image, or a folder that is watched."""

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from kizu.bundles.store import ensure_outside, is_bundle
from kizu.core.environment import FILE_NAME_ERRORS
from kizu.core.errors import ConfigError
from kizu.core.work import Work
from kizu.data.listing import list_images, list_named_images
from kizu.decision.policy import PolicyConfig
from kizu.imaging.roi import read_roi
from kizu.inspection.folder import FolderOptions, FolderResult, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.records import Record
from kizu.inspection.watch import arrivals
from kizu.tasks.line_options import DecisionOptions, MarkOptions, SavedOptions, SourceOptions, WritingOptions


@dataclass(frozen=True, slots=True)
class Inspected:
    """What came of it, and where it lies."""

    result: FolderResult
    output_dir: Path


def inspect(
    source: SourceOptions,
    decision: DecisionOptions,
    writing: WritingOptions,
    work: Work,
    on_record: Callable[[Record], None] | None = None,
) -> Inspected:
    """Inspect what `source` names. `on_record`: told each line of a watched folder as it comes.

    Raises `ConfigError` for sources that contradict each other.
    """
    images, is_list = _images(source)
    opened = source.run_dir or source.model
    if opened is None or (source.run_dir and source.model):
        raise ConfigError("give a run or a model file", hint="kizu inspect --run-dir RUN FOLDER")
    beside = opened.parent if source.model or is_bundle(opened) else opened
    name = "list" if is_list else images.resolve().name or "images"
    output_dir = source.output_dir or beside / "inspections" / name
    ensure_outside(output_dir)
    if images.is_dir() and output_dir.resolve().is_relative_to(images.resolve()):
        raise ConfigError(
            f"the results would lie in {images}, and be inspected next", hint="choose another --output-dir"
        )
    inspector = Inspector.open(
        opened,
        signed_by=source.require_signature,
        category=source.category,
        policy=policy_config(decision),
        roi=read_roi(decision.roi, decision.ignore),
        work=work,
    )
    runner = FolderRunner(inspector, output_dir, folder_options(writing))
    if source.watch:
        looks = arrivals(
            lambda: list_images(images, pattern=source.glob, may_be_empty=True),
            interval=source.interval,
            idle_seconds=source.idle,
        )
        return Inspected(runner.watch(looks, on_record), output_dir)
    if is_list:
        file = source.image_list
        samples = (
            list_named_images(sys.stdin) if file is None else list_named_images(_lines(file), name=str(file))
        )
    else:
        samples = list_images(images, pattern=source.glob)
    return Inspected(runner.run(samples), output_dir)


def policy_config(options: MarkOptions) -> PolicyConfig:
    """What an operator turns, from options. Raises `ConfigError`."""
    values = {name: value for name, value in asdict(options).items() if name in PolicyConfig.model_fields}
    return PolicyConfig.parse(values, where="options")


def folder_options(options: SavedOptions) -> FolderOptions:
    """What is written, from options."""
    return FolderOptions.parse(asdict(options), where="options")


def _images(source: SourceOptions) -> tuple[Path, bool]:
    """What holds the pictures, and whether it is a list of paths."""
    given = [path for path in (source.folder, source.input_dir, source.image_list) if path is not None]
    if len(given) != 1:
        raise ConfigError("give one folder of images", hint="kizu inspect --run-dir RUN FOLDER")
    is_list = source.image_list is not None or str(given[0]) == "-"
    if is_list and (source.watch or source.glob is not None):
        raise ConfigError("--watch and --glob are for folders")
    return given[0], is_list


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors=FILE_NAME_ERRORS).split("\n")
    except OSError as error:
        raise ConfigError(f"cannot read the list {path}: {error}") from error
