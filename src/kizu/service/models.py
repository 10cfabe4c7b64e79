"""What the service needs of models: a protocol, and the runs of the command line opened to fulfil it."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from threading import Lock
from typing import Literal, Protocol

import numpy as np

from kizu.bundles.store import load, read_hash
from kizu.core.errors import ConfigError
from kizu.core.threads import one_core
from kizu.core.work import Work
from kizu.data.batches import place_source
from kizu.decision.calibration import Thresholds
from kizu.imaging.codec import Limits
from kizu.imaging.roi import read_roi
from kizu.inspection.inspector import Inspection, Inspector, bundle_folder
from kizu.runtimes.model import is_model_file, read_model
from kizu.service.settings import ServeSettings


class Model(Protocol):
    """What is said of a model that is served."""

    @property
    def name(self) -> str: ...
    @property
    def category(self) -> str: ...
    @property
    def method(self) -> str: ...
    @property
    def backbone(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def version(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def thresholds(self) -> Thresholds: ...


class Retrieved(Protocol):
    """Which product a picture shows, by its likeness to what each model has seen."""

    @property
    def name(self) -> str | None: ...
    @property
    def confidence(self) -> float: ...


class Found(Protocol):
    """What came of a picture. Without an inspection nobody knows the product."""

    @property
    def model(self) -> Model | None: ...
    @property
    def inspection(self) -> Inspection | None: ...
    @property
    def retrieved(self) -> Retrieved | None: ...


class Models(Protocol):
    """Several models, safe to call from several threads."""

    def models(self) -> Sequence[Model]:
        """All that are served."""
        ...

    def find(self, name: str) -> Model:
        """One of them. Raises `ConfigError` for a name that none has."""
        ...

    def inspect(self, picture: bytes, *, name: str | None = None, threshold: float | None = None) -> Found:
        """By the model of that name; None: by the one that the picture is for. `threshold`: a raw score in place of the
        model's for this picture. Raises `ConfigError`, `ImageError`."""
        ...

    def warm(self) -> None:
        """Make the first picture as quick as the next."""
        ...

    def refresh(self) -> tuple[str, ...]:
        """Open versions that came into force since; the names of those that changed."""
        ...

    def close(self) -> None:
        """Let them go."""
        ...


@dataclass(frozen=True, slots=True)
class OpenedModel:
    """A product of a run that is open."""

    name: str
    category: str
    method: str
    backbone: str
    kind: Literal["run", "exported"]
    version: int
    sha256: str
    size_bytes: int
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Judged:
    """A picture and the model that judged it; nothing is looked up by likeness here."""

    model: OpenedModel
    inspection: Inspection
    retrieved: None = None


@dataclass(frozen=True, slots=True)
class _Served:
    model: OpenedModel
    inspector: Inspector
    path: Path


class OpenedRuns:
    """Every product of every run, opened once and kept. Pictures of several products must say which one they show."""

    def __init__(self, settings: ServeSettings, work: Work = Work()) -> None:
        """Raises `ConfigError` where there is no run, or two have one product, and what `Inspector.open` raises."""
        if not settings.runs:
            raise ConfigError("there is nothing to serve", hint="kizu serve RUN")
        self._settings, self._work = settings, work
        self._lock = Lock()
        """One look for new versions at a time."""
        self._served: dict[str, _Served] = {}
        for path in settings.runs:
            for served in self._open(path):
                name = served.model.name
                if name in self._served:
                    other = self._served[name].path
                    raise ConfigError(
                        f"{path} and {other} both are of {name}",
                        hint="serve one of them, or in another process",
                    )
                self._served[name] = served
        unknown = sorted(settings.products.keys() - self._served.keys())
        if unknown:
            raise ConfigError(
                f"settings for {unknown[0]!r}, which is not served", hint=f"served: {', '.join(self._served)}"
            )

    def models(self) -> Sequence[OpenedModel]:
        """As `Models`."""
        return [served.model for served in self._served.values()]

    def find(self, name: str) -> OpenedModel:
        """As `Models`."""
        return self._find(name).model

    def inspect(self, picture: bytes, *, name: str | None = None, threshold: float | None = None) -> Judged:
        """As `Models`; with several products a name is needed."""
        served = self._find(name)
        inspector = served.inspector if threshold is None else served.inspector.with_threshold(threshold)
        limits = Limits(max_pixels=round(self._settings.max_megapixels * 1e6))
        placed = place_source(picture, inspector.placement, limits=limits)
        inspector.ensure_fits(placed.size)
        return Judged(served.model, inspector.inspect_placed(placed.image[None], [placed.size])[0])

    def warm(self) -> None:
        """As `Models`."""
        for served in self._served.values():
            hw = served.inspector.placement.seen_hw
            nothing = np.zeros((1, *hw, 3), np.uint8)
            served.inspector.judge(nothing, [hw])  # scores at once, and decides nothing unless asked
            with one_core():  # as beside others, on a session of its own
                served.inspector.judge(nothing, [hw])

    def refresh(self) -> tuple[str, ...]:
        """As `Models`. What is being inspected ends with the version that it began with."""
        with self._lock:
            paths = dict.fromkeys(
                served.path
                for served in self._served.values()
                if _present_sha256(served.path) not in (None, served.model.sha256)
            )
            changed = {served.model.name: served for path in paths for served in self._open(path)}
            self._served = {**self._served, **changed}
        return tuple(sorted(changed))

    def close(self) -> None:
        """As `Models`."""

    def _find(self, name: str | None) -> _Served:
        served = self._served
        if name is None:
            if len(served) == 1:
                return next(iter(served.values()))
            raise ConfigError(
                "several products are served, and none was named", hint=f"class_name: {', '.join(served)}"
            )
        if name not in served:
            near = get_close_matches(name, list(served), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"served: {', '.join(served)}"
            raise ConfigError(f"no product {name!r} is served", hint=hint)
        return served[name]

    def _open(self, path: Path) -> list[_Served]:
        """Every product of one run, each with how it is decided on."""
        source = read_model(path) if is_model_file(path) else load(bundle_folder(path))
        served = []
        for name in source.manifest.thresholds_by_category or (source.manifest.category,):
            decision = self._settings.decision_of(name)
            inspector = Inspector(
                source,
                category=name if source.manifest.thresholds_by_category else None,
                policy=decision.policy,
                roi=read_roi(decision.roi, decision.ignore),
                work=self._work,
            )
            served.append(_Served(_describe(path, inspector), inspector, path))
        return served


def _describe(path: Path, inspector: Inspector) -> OpenedModel:
    manifest = inspector.manifest
    files = [path] if path.is_file() else [file for file in bundle_folder(path).rglob("*") if file.is_file()]
    return OpenedModel(
        name=manifest.category,
        category=manifest.category,
        method=manifest.model,
        backbone=manifest.backbone.name,
        kind="exported" if is_model_file(path) else "run",
        version=manifest.version,
        sha256=inspector.bundle_sha256,
        size_bytes=sum(file.stat().st_size for file in files),
        thresholds=manifest.thresholds,
    )


def _present_sha256(path: Path) -> str | None:
    """Of the bundle that is in force; None: of an exported file, which has none but its own."""
    return None if is_model_file(path) else read_hash(bundle_folder(path))
