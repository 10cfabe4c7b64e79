"""Pictures in, verdicts out: a folder, a list, one image, or a folder that is watched."""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kizu.bundles.manifest import BundleManifest
from kizu.bundles.store import ensure_outside, is_bundle
from kizu.core.errors import ConfigError
from kizu.core.hashing import hash_value
from kizu.core.work import Work
from kizu.data.layouts.files import ensure_folder
from kizu.data.listing import ImagesBelow, list_named_images, read_list
from kizu.data.manifest import Sample
from kizu.decision.policy import PolicyConfig
from kizu.imaging.roi import read_roi
from kizu.inspection.declared import Declared
from kizu.inspection.events import events_of
from kizu.inspection.folder import FolderResult, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.journal import owner_of
from kizu.inspection.judges import Judges, find_entries, open_judges
from kizu.inspection.options import FolderOptions
from kizu.inspection.records import Record
from kizu.inspection.shelf_models import Entry, is_shelf
from kizu.inspection.source import identify
from kizu.inspection.watch import DropFolder
from kizu.lab.measured_set import read_known_content
from kizu.lab.promises import read_set_on
from kizu.report.inspecting import write_inspection_page
from kizu.runs.folder import open_run
from kizu.runtimes.model import is_model_file
from kizu.tasks.line_options import DecisionOptions, MarkOptions, SavedOptions, SourceOptions, WritingOptions


@dataclass(frozen=True, slots=True)
class Inspected:
    """What came of it, and where it lies."""

    result: FolderResult
    output_dir: Path
    page: Path | None = None
    """To look at; None: it was not asked for."""


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
    models = [*(source.run_dir or ()), *(source.model or ())]
    if not models:
        raise ConfigError("give a run or a model file", hint="kizu inspect --model RUN FOLDER")
    entries = find_entries(models, work.runtime) if len(models) > 1 or is_shelf(models[0]) else ()
    if entries:
        _ensure_for_several(source, decision)
    output_dir = source.output_dir or _beside(models[0], images, is_list)
    ensure_outside(output_dir)
    if images.is_dir() and output_dir.resolve().is_relative_to(images.resolve()):
        raise ConfigError(
            f"the results would lie in {images}, and be inspected next", hint="choose another --output-dir"
        )
    opened = (
        _open_several(entries, source, decision, work)
        if entries
        else _open_one(models[0], source, decision, work)
    )
    for name, inspector in opened.judges.inspectors.items():
        crop = inspector.manifest.placement.tell_crop()
        work.note(*([f"{name}: {crop}" if entries else crop] if crop else []))
    folder = ImagesBelow(images, source.glob, work.note)
    runner = FolderRunner(
        opened.judges,
        output_dir,
        folder_options(writing),
        belongs_to=None if source.output_dir else identify(images),
        passed_over=folder.rows,
    )
    if source.watch:
        ensure_folder(images)
        drop = DropFolder(
            folder,
            events_of(images),
            interval=source.interval,
            idle_seconds=source.idle,
        )
        return _with_page(runner.watch(drop, on_record), output_dir, writing)
    samples = _named_images(source.image_list) if is_list else folder.all()
    declared = opened.declared() if source.assume_good else None
    return _with_page(runner.run(samples, declared), output_dir, writing)


def _with_page(result: FolderResult, output_dir: Path, writing: WritingOptions) -> Inspected:
    page = write_inspection_page(output_dir, result.report) if writing.save_page else None
    return Inspected(result, output_dir, page)


@dataclass(frozen=True, slots=True)
class _Opened:
    """What judges."""

    judges: Judges
    places: Mapping[str, tuple[Path, str | None]]
    """By product: where its model was opened from, and for which of several categories of that."""

    def declared(self) -> dict[str, Declared]:
        """By product, what its model knows of pictures."""
        return {
            name: _declare(path, self.judges.inspectors[name].manifest, category)
            for name, (path, category) in self.places.items()
        }


def _open_one(model: Path, source: SourceOptions, decision: DecisionOptions, work: Work) -> _Opened:
    inspector = Inspector.open(
        model,
        signed_by=source.require_signature,
        category=source.category,
        policy=policy_config(decision),
        roi=read_roi(decision.roi, decision.ignore),
        work=work,
    )
    return _Opened(Judges.one(inspector), {inspector.manifest.category: (model, source.category)})


def _open_several(
    entries: Sequence[Entry], source: SourceOptions, decision: DecisionOptions, work: Work
) -> _Opened:
    judges = open_judges(
        entries, policy=policy_config(decision), signed_by=source.require_signature, work=work
    )
    places = {
        entry.model.category: (entry.model.path, entry.model.category if entry.of_several else None)
        for entry in entries
    }
    return _Opened(judges, places)


def _ensure_for_several(source: SourceOptions, decision: DecisionOptions) -> None:
    """Raises `ConfigError` for what is of one product alone."""
    if source.category is not None:
        raise ConfigError(
            "--category says that all pictures show one product, and several models are given to tell which each shows",
            hint=f"give the model of {source.category} alone",
        )
    for flag, given in (("--roi", decision.roi), ("--ignore", decision.ignore)):
        if given is not None:
            raise ConfigError(
                f"{flag} is a region in the pictures of one product, and several models are given",
                hint="inspect that product's pictures with its model alone",
            )
    if source.output_dir is None:
        raise ConfigError(
            "several models have no common place for results", hint="say where they go: --output-dir RESULTS"
        )


def _beside(model: Path, images: Path, is_list: bool) -> Path:
    """Where results of one model go unless somebody says so."""
    beside = model.parent if is_model_file(model) or is_bundle(model) else model
    return choose_folder(
        beside / "inspections", "list" if is_list else images.resolve().name or "images", identify(images)
    )


def _declare(opened: Path, manifest: BundleManifest, category: str | None) -> Declared:
    """What a run knows of the pictures it has seen; a bundle alone, or an exported file, knows nothing of them."""
    if is_model_file(opened) or is_bundle(opened):
        return Declared()
    folder = open_run(opened)
    set_on = read_set_on(folder, manifest, category)
    return Declared(read_known_content(folder, manifest), set_on.scores, set_on.siblings, set_on.groups)


def choose_folder(place: Path, name: str, images: str) -> Path:
    """Where the results of the folder `images` go, in `place`: under its name, with a mark where another folder of that
    name has taken it."""
    folder = place / name
    if not (folder / "preds.jsonl").exists() or owner_of(folder) == images:
        return folder
    return place / f"{name}-{hash_value(images)[:8]}"


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
        raise ConfigError("give one folder of images", hint="kizu inspect --model RUN FOLDER")
    is_list = source.image_list is not None or str(given[0]) == "-"
    if source.watch and source.assume_good:
        raise ConfigError(
            "--assume-good does not go with --watch: a verdict that is asked for after each picture says broken"
            " sooner or later, whatever holds",
            hint="inspect the folder without --watch when its pictures have come",
        )
    if is_list and (source.watch or source.glob is not None):
        raise ConfigError("--watch and --glob are for folders")
    return given[0], is_list


def _named_images(path: Path | None) -> tuple[Sample, ...]:
    """What a list names; None: that on stdin."""
    if path is None:
        return list_named_images(read_list(b"" if sys.stdin is None else sys.stdin.buffer.read()))
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the list {path}: {error.strerror}") from error
    return list_named_images(read_list(content, name=str(path)), name=str(path))
