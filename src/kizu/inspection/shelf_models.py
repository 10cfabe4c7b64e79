"""What lies on a shelf: the models below some folders, what each says of itself, and a name for each."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from logging import getLogger
from pathlib import Path
from typing import Literal

from kizu.bundles.exported import META
from kizu.bundles.manifest import BundleManifest
from kizu.bundles.references import ProductReferences, References, VectorMaker, read_references
from kizu.bundles.store import is_bundle, load, read_hash
from kizu.core.errors import BundleError, ConfigError
from kizu.core.parts import is_part
from kizu.decision.calibration import Thresholds
from kizu.inspection.source import stamp_at
from kizu.runs.folder import RunFolder
from kizu.runs.versions import bundle_in_force
from kizu.runtimes.model import is_model_file, read_model

Kind = Literal["run", "bundle", "exported"]
_log = getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ShelfModel:
    """What one model says of itself; its network is not opened for that."""

    name: str
    """No other on the shelf has it: the category, or category@run/version where several are of one."""
    category: str
    method: str
    backbone: str
    kind: Kind
    path: Path
    """As it was given, or found."""
    version: int | None
    """Of the run's model, counted from 1; None: nobody counts."""
    sha256: str
    """Of the bundle, as each verdict of it carries it."""
    size_bytes: int
    """On disk."""
    thresholds: Thresholds
    """Image, pixel and zones, with what they promise."""
    run_id: str = ""
    can_be_retrieved: bool = False
    """Whether it knows what its product looks like; else requests must name it."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A model that could not be taken, or not as it is now."""

    path: Path
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A model on the shelf, and where it is opened from."""

    model: ShelfModel
    place: Path
    """The bundle folder or the exported file: of a run the version that was in force when it was looked at, which stays
    where it is."""
    files_sha256: tuple[str, ...]
    """Of what is opened: all that has these is one open model."""
    manifest: BundleManifest
    of_several: bool
    """Its model has thresholds for several categories, and is opened for this one."""
    references: ProductReferences | None = None


def find_models(paths: Iterable[Path]) -> Iterator[tuple[Path, Kind]]:
    """The run folders, bundles and exported files that `paths` are or hold, at any depth, each once.

    Raises `BundleError` for a path that is none of these and no folder.
    """
    known: set[Path] = set()
    for path in paths:
        if _kind_of(path) is None and not path.is_dir():
            raise BundleError(
                f"{path} is no run, bundle, exported file or folder of them", hint="check the path"
            )
        yield from _below(path, known)


def is_shelf(path: Path) -> bool:
    """Whether `path` is a folder that is no model itself."""
    return path.is_dir() and _kind_of(path) is None


def read_mark(path: Path, kind: Kind) -> object:
    """What changes when another model, or another version, lies at `path`; read at a glance. Raises `BundleError`."""
    if kind == "exported":
        return tuple(map(stamp_at, (path, path.with_suffix(".bin"), path.with_name(META))))
    folder = bundle_in_force(path) if kind == "run" else path
    return folder, read_hash(folder), stamp_at(_beside(path, kind))


def read_entries(path: Path, kind: Kind, runtime: str, maker: VectorMaker) -> tuple[Entry, ...]:
    """All that is at `path`, whole and unchanged: one entry, or one for each category of a model of several.

    `maker`: what vectors of pictures are made with; references that another one made are of no use. Raises
    `BundleError`, and `ConfigError` for what the runtime does not open.
    """
    if kind == "exported":
        return _read_exported(path, runtime, maker)
    place = bundle_in_force(path) if kind == "run" else path
    bundle = load(place)
    digest = bundle.bundle_sha256
    references = read_references(_beside(path, kind))
    if references is not None and references.run_id != bundle.manifest.run_id:
        references = None  # of another run, which lies beside
    size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
    facts = _Facts(path, kind, place, digest, (digest,), size)
    return tuple(_entries(facts, bundle.manifest, references, maker))


def name_apart(entries: Sequence[Entry]) -> dict[str, Entry]:
    """By a name for each: its category; of several of one category their run and version too, and if need be their
    path."""
    tellings = (
        lambda m: m.category,
        lambda m: f"{m.category}@{m.run_id}/{m.version}",
        lambda m: f"{m.category}@{m.run_id}/{m.version}:{m.path}",
    )
    named: dict[str, Entry] = {}
    waiting = list(entries)
    for telling in tellings:
        counts = Counter(telling(entry.model) for entry in waiting)
        for entry in waiting:
            name = telling(entry.model)
            if counts[name] == 1:
                named[name] = replace(entry, model=replace(entry.model, name=name))
        waiting = [entry for entry in waiting if counts[telling(entry.model)] > 1]
    order = [entry.model.path for entry in entries]
    return dict(sorted(named.items(), key=lambda item: (order.index(item[1].model.path), item[0])))


@dataclass(frozen=True, slots=True)
class _Facts:
    path: Path
    kind: Kind
    place: Path
    bundle_sha256: str
    files_sha256: tuple[str, ...]
    size_bytes: int


def _read_exported(path: Path, runtime: str, maker: VectorMaker) -> tuple[Entry, ...]:
    if path.suffix.lower() == ".xml" and runtime != "openvino":
        raise ConfigError(f"{path} is for OpenVINO", hint="add --runtime openvino")
    model = read_model(path)
    files = [file for file in (path, path.with_suffix(".bin")) if file.is_file()]
    size = sum(file.stat().st_size for file in (files if path.suffix.lower() == ".xml" else [path]))
    facts = _Facts(path, "exported", path, model.bundle_sha256, model.files_sha256, size)
    return tuple(_entries(facts, model.manifest, model.references, maker))


def _entries(
    facts: _Facts, manifest: BundleManifest, references: References | None, maker: VectorMaker
) -> Iterator[Entry]:
    fits = references is not None and references.maker == maker
    if references is not None and not fits:
        _log.warning("made by another version, so requests must name the model path=%s", facts.path)
    for category in tuple(manifest.thresholds_by_category) or (None,):
        own = manifest.for_category(category)
        product = references.products.get(own.category) if references is not None and fits else None
        model = ShelfModel(
            name=own.category,
            category=own.category,
            method=own.model,
            backbone=own.backbone.name,
            kind=facts.kind,
            path=facts.path,
            version=own.version,
            sha256=facts.bundle_sha256,
            size_bytes=facts.size_bytes,
            thresholds=own.thresholds,
            run_id=own.run_id,
            can_be_retrieved=product is not None,
        )
        several = category is not None
        yield Entry(model, facts.place, facts.files_sha256, manifest, several, product)


def _beside(path: Path, kind: Kind) -> Path:
    return RunFolder(path if kind == "run" else path.parent).retrieval


def _kind_of(path: Path) -> Kind | None:
    if path.is_dir():
        if (path / "bundle").is_dir():
            return "run"
        return "bundle" if is_bundle(path) else None
    return "exported" if is_model_file(path) and path.is_file() else None


def _below(path: Path, known: set[Path]) -> Iterator[tuple[Path, Kind]]:
    """`known`: what was met already, folders too, by its real path: links may lead back."""
    if path.resolve() in known:
        return
    known.add(path.resolve())
    kind = _kind_of(path)
    if kind is not None:
        yield path, kind
        return
    for inside in sorted(path.iterdir()):
        if inside.name.startswith(".") or is_part(inside):
            continue
        if inside.is_dir() or _is_exported(inside):
            yield from _below(inside, known)


def _is_exported(path: Path) -> bool:
    """Not every XML file that lies in a folder of models is one."""
    return is_model_file(path) and (path.suffix.lower() != ".xml" or path.with_name(META).is_file())
