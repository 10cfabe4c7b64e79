"""Several models side by side: each is asked by name, or found by what the picture shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Self

from kizu.core.errors import BundleError, ConfigError
from kizu.core.work import Work
from kizu.data.batches import Placed, Source, place_source
from kizu.decision.policy import PolicyConfig
from kizu.imaging.codec import Limits
from kizu.imaging.opening import read_file
from kizu.imaging.roi import Roi
from kizu.inspection.inspector import Inspection, Inspector
from kizu.inspection.open_models import OpenModels, embedding_once
from kizu.inspection.retrieval import Retrieved, Retriever
from kizu.inspection.shelf_contents import Contents
from kizu.inspection.shelf_models import Entry, Problem, ShelfModel
from kizu.pipeline.vectors import VectorNetwork


@dataclass(frozen=True, slots=True)
class Looking:
    """How one product is looked at, as for an `Inspector`."""

    policy: PolicyConfig = field(default_factory=PolicyConfig)
    roi: Roi | None = None


@dataclass(frozen=True, slots=True)
class Shelved:
    """What was said of a picture, and by which model."""

    model: ShelfModel | None
    """None: the picture shows none of these products, and nobody judged it."""
    inspection: Inspection | None
    retrieved: Retrieved | None
    """None where the model was named."""


class Shelf:
    """Many models, opened when they are asked for. Safe to share between threads."""

    def __init__(
        self,
        paths: Sequence[Path],
        *,
        memory_mb: int | None,
        work: Work,
        looking: Mapping[str, Looking] | None,
        otherwise: Looking,
        limits: Limits,
        one_of_each: bool,
    ) -> None:
        """`open` does this, and looks what is there."""
        self._paths = tuple(map(Path, paths))
        self._work, self._looking, self._otherwise = work, dict(looking or {}), otherwise
        self._limits, self._one_of_each = limits, one_of_each
        self._models = OpenModels(None if memory_mb is None else memory_mb << 20, work)
        self._contents = Contents()
        self._refreshing, self._retrieving = Lock(), Lock()
        self._network: VectorNetwork | None = None
        self._retriever: tuple[Contents, Retriever] | None = None
        self._is_closed = False

    @classmethod
    def open(
        cls,
        paths: Sequence[Path],
        *,
        memory_mb: int | None = None,
        work: Work = Work(),
        looking: Mapping[str, Looking] | None = None,
        otherwise: Looking = Looking(),
        limits: Limits = Limits(),
        one_of_each: bool = False,
    ) -> Self:
        """The models that `paths` are, or that lie in these folders: run folders, bundles, exported files. All of their
        bytes are checked, and no network is opened yet.

        `memory_mb`: what open models may take; those that were used longest ago are closed for others, and opened again
        when they are asked for. One that is larger by itself stays until another is wanted; a picture that is being
        judged keeps its model to the end. None: all stay. `looking`: how products are looked at, by category;
        `otherwise`: how all others are. `limits`: what decoding one picture may take. `one_of_each`: two models of one
        category are a problem, and are not told apart by longer names.
        Raises `BundleError` where not one model can be taken; what is wrong with others is in `problems()`.
        """
        shelf = cls(
            paths,
            memory_mb=memory_mb,
            work=work,
            looking=looking,
            otherwise=otherwise,
            limits=limits,
            one_of_each=one_of_each,
        )
        shelf.refresh()
        contents = shelf._contents
        if not contents.entries:
            told = [problem.message for problem in contents.problems]
            raise BundleError(
                "; ".join(told) or f"there is no model in {', '.join(map(str, paths)) or 'no folder'}",
                hint="give run folders, bundles, exported files, or folders of them",
            )
        unknown = shelf._looking.keys() - {entry.model.category for entry in contents.entries.values()}
        if unknown:
            known = sorted({entry.model.category for entry in contents.entries.values()})
            raise ConfigError(
                f"no model on the shelf is of {', '.join(sorted(unknown))}",
                hint=f"there are: {', '.join(known)}",
            )
        return shelf

    def models(self) -> tuple[ShelfModel, ...]:
        """All of them, in the order of the paths."""
        return tuple(entry.model for entry in self._contents.entries.values())

    def problems(self) -> tuple[Problem, ...]:
        """What could not be taken, or not as it is now, since the last look."""
        return self._contents.problems

    @property
    def open_bytes(self) -> int:
        """What models that are open take in memory, as it was measured when they were opened."""
        return self._models.size_bytes

    def find(self, name: str) -> ShelfModel:
        """By its name; by its category, or category@run, where only one has that. Raises `ConfigError`."""
        return self._contents.find(name).model

    def inspect(
        self, picture: Source | str, *, name: str | None = None, threshold: float | None = None
    ) -> Shelved:
        """What one model says of a picture: a file, its bytes, or an array as `Inspector.inspect` takes it.

        `name`: which model; None: the one of the product that the picture shows, or none; a model that is alone and
        does not know what its product looks like takes every picture, as an `Inspector` does. `threshold`: a raw score
        in place of the model's. Raises `ConfigError` for an unknown name, and where models are not told apart by what a
        picture shows; `ImageError`.
        """
        contents, content = self._current(), _read(picture)  # once: what is found is what is judged
        entry = contents.only() if name is None else contents.find(name)
        retrieved = None
        if entry is None:
            retrieved = self._retriever_of(contents).retrieve(content)
            if retrieved.name is None:
                return Shelved(None, None, retrieved)
            entry = contents.find(retrieved.name)
            retrieved = replace(retrieved, name=entry.model.name)
        entry, inspector = self._open(entry)
        if threshold is not None:
            inspector = inspector.with_threshold(threshold)
        placed = place_source(content, inspector.placement, limits=self._limits)
        return Shelved(entry.model, _judge(inspector, placed, content), retrieved)

    def inspect_each(self, picture: Source | str, names: Sequence[str]) -> tuple[Shelved, ...]:
        """What several models say of one picture, in the order of their names.

        It is read once, decoded once for all that see it alike, and goes once through a network that they share.
        """
        contents, content = self._current(), _read(picture)
        placed = {}
        found = []
        with embedding_once():
            for name in names:
                entry, inspector = self._open(contents.find(name))
                if inspector.placement not in placed:
                    placed[inspector.placement] = place_source(
                        content, inspector.placement, limits=self._limits
                    )
                inspection = _judge(inspector, placed[inspector.placement], content)
                found.append(Shelved(entry.model, inspection, None))
        return tuple(found)

    def warm(self) -> None:
        """Open models, in their order, as far as the memory reaches, and what tells products apart; each has scored a
        black picture then, on all cores and on one. Raises what opening them raises."""
        contents = self._current()
        opened: list[Entry] = []
        for entry in contents.entries.values():
            self._open(entry)
            opened.append(entry)
            if not all(map(self._models.is_open, opened)):
                break  # the first ones had to go for it
        if any(entry.references is not None for entry in contents.entries.values()):
            self._retriever_of(contents)
            network = self._network
            if network is not None:  # None: closed meanwhile
                network.warm()

    def refresh(self) -> tuple[str, ...]:
        """Look again what lies at the paths, and take what has changed: another version in force, a new model, one that
        is gone. A picture that is being judged stays with the model that it began with.

        A model that was open is open in its new version before it is put in the place of the old one. What cannot be
        taken leaves the old one on the shelf, and is told in `problems()`. -> names of what is another now, is new, or
        is gone.
        """
        with self._refreshing:
            before = self._current()
            contents = before.looked_at_again(
                self._paths, self._work.runtime, self._open_anew, one_of_each=self._one_of_each
            )
            self._contents = contents
            self._models.keep_only({entry.files_sha256 for entry in contents.entries.values()})
        return tuple(
            name
            for name in dict.fromkeys([*contents.entries, *before.entries])
            if contents.entries.get(name) != before.entries.get(name)
        )

    def close(self) -> None:
        """Drop all; whatever is asked then raises `ConfigError`."""
        with self._refreshing:
            self._is_closed = True
            self._contents = Contents()
            self._models.keep_only(set())
            self._network = self._retriever = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open_anew(self, old: Sequence[Entry], new: Sequence[Entry]) -> None:
        """What is in use stays open when it changes: nobody waits for the new version."""
        if any(map(self._models.is_open, old)):
            for entry in new:
                self._models.get(entry)

    def _current(self) -> Contents:
        if self._is_closed:
            raise ConfigError("the shelf is closed", hint="open it again")
        return self._contents

    def _open(self, entry: Entry) -> tuple[Entry, Inspector]:
        """Where its files are others by now, or gone, what has taken their place."""
        try:
            return entry, self._inspector(entry)
        except BundleError:
            self.refresh()
            now = self._current().entries.get(entry.model.name)
            if now is None or now == entry:
                raise
            return now, self._inspector(now)

    def _inspector(self, entry: Entry) -> Inspector:
        opened = self._models.get(entry)
        category = entry.model.category
        known = opened.inspectors.get(category)
        if known is None:
            looking = self._looking.get(category, self._otherwise)
            known = Inspector(
                opened.source,
                category=category if entry.of_several else None,
                policy=looking.policy,
                roi=looking.roi,
                work=self._work,
                pipeline=opened.scorer,
            )
            opened.inspectors[category] = known
        return known

    def _retriever_of(self, contents: Contents) -> Retriever:
        with self._retrieving:
            if self._retriever is None or self._retriever[0] is not contents:
                self._retriever = contents, self._make_retriever(contents)
            return self._retriever[1]

    def _make_retriever(self, contents: Contents) -> Retriever:
        products = {e.model.category: e.references for e in contents.entries.values() if e.references}
        if not products:
            raise ConfigError(
                "no model on the shelf knows what its product looks like",
                hint="make that once, kizu index RUN; or name the model",
            )
        if self._network is None:
            self._network = VectorNetwork(self._work, self._limits)
        return Retriever(products, self._network)


def _judge(inspector: Inspector, placed: Placed, content: Source) -> Inspection:
    inspector.ensure_fits(placed.size, getattr(content, "path", None))
    return inspector.inspect_placed(placed.image[None], [placed.size])[0]


def _read(picture: Source | str) -> Source:
    """A file's bytes, so that what is looked at first and last is one picture."""
    return read_file(Path(picture)) if isinstance(picture, str | Path) else picture
