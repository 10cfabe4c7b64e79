"""Models that are open: each once however many ask for it, as many as a budget of memory holds, and one network for all
that look through the same graph."""

from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from threading import Lock, RLock
from weakref import WeakValueDictionary

import numpy as np

from kizu.backbones.graph import Embedder
from kizu.bundles.manifest import Bundle
from kizu.bundles.store import load
from kizu.core.errors import BundleError
from kizu.core.hashing import hash_bytes
from kizu.core.threads import one_core
from kizu.core.types import F32, HW, U8, Scorer
from kizu.core.work import Work, memory_in_use
from kizu.imaging.tiling import as_seen
from kizu.inspection.inspector import Inspector
from kizu.inspection.shelf_models import Entry
from kizu.pipeline.opened import open_pipeline
from kizu.runtimes.model import ModelFile, read_model

Key = tuple[str, ...]
"""Hashes of the files that a model is opened from."""
_made: ContextVar[dict[str, F32] | None] = ContextVar("made", default=None)


@contextmanager
def embedding_once() -> Iterator[None]:
    """What several models ask their common network about one picture inside is computed once."""
    token = _made.set({})
    try:
        yield
    finally:
        _made.reset(token)


class SharedEmbedder(Embedder):
    """A network that several models look through."""

    def __init__(self, model_bytes: bytes, graph_sha256: str, work: Work) -> None:
        super().__init__(model_bytes, work)
        self.graph_sha256 = graph_sha256

    def embed(self, images: U8) -> F32:
        """As `Embedder.embed`."""
        made = _made.get()
        if made is None:
            return super().embed(images)
        key = f"{self.graph_sha256} {images.shape} {hash_bytes(np.ascontiguousarray(images).tobytes())}"
        if key not in made:
            made[key] = super().embed(images)
        return made[key]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Network:
    """One that is open, for as long as a model holds it."""

    embedder: SharedEmbedder
    size: int
    """Bytes that it takes in memory."""


@dataclass(slots=True)
class OpenModel:
    """What was read and opened; inspectors of its categories share it."""

    source: Bundle | ModelFile
    scorer: Scorer
    network: Network | None
    """That it shares; None: of an exported file, whose graph is one."""
    size: int
    """Bytes that it takes in memory, beside the network that it shares."""
    inspectors: dict[str, Inspector] = field(default_factory=dict)
    """By category."""


class OpenModels:
    """Safe to share by threads. What is dropped here is used to the end by who has it."""

    def __init__(self, budget_bytes: int | None, work: Work) -> None:
        self._budget, self._work = budget_bytes, work
        self._lock, self._opening = RLock(), Lock()
        self._kept: OrderedDict[Key, OpenModel] = OrderedDict()
        self._coming: dict[Key, Future[OpenModel]] = {}
        self._networks: WeakValueDictionary[str, Network] = WeakValueDictionary()
        """By graph; those that models hold."""

    def get(self, entry: Entry) -> OpenModel:
        """What `entry` is opened as: at once where it is open, else opened by the first who asks, while others wait for
        that. Raises `BundleError` for files that are gone or others than they were, and what opening them raises."""
        key = entry.files_sha256
        with self._lock:
            found, coming = self._kept.get(key), self._coming.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                return found
            if coming is None:
                mine: Future[OpenModel] = Future()
                self._coming[key] = mine
        if coming is not None:
            return coming.result()
        try:
            opened = self._open(entry)
        except BaseException as error:
            with self._lock:
                del self._coming[key]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._coming[key]
            self._kept[key] = opened
            self._make_room()
        mine.set_result(opened)
        return opened

    def is_open(self, entry: Entry) -> bool:
        """Whether it is, now."""
        return entry.files_sha256 in self._kept

    def keep_only(self, keys: set[Key]) -> None:
        """Drop what has other files than these."""
        with self._lock:
            for key in [key for key in self._kept if key not in keys]:
                del self._kept[key]

    @property
    def size_bytes(self) -> int:
        """What is open takes, as it was measured when it was opened; a network that several share counts once."""
        with self._lock:
            kept = list(self._kept.values())
        networks = {
            opened.network.embedder.graph_sha256: opened.network.size for opened in kept if opened.network
        }
        return sum(opened.size for opened in kept) + sum(networks.values())

    def _open(self, entry: Entry) -> OpenModel:
        """One at a time: so what the process grows by is its own, and two networks never meet at their peak."""
        with self._opening:
            if entry.model.kind == "exported":
                return self._open_file(entry)
            bundle = load(entry.place)
            _ensure_same(entry, (bundle.bundle_sha256,))
            before = memory_in_use()
            network = self._network(bundle)
            bundle = replace(bundle, graph=network.embedder.model_bytes)  # the same, held once
            shared = max(memory_in_use() - before, 0)
            pipeline = open_pipeline(bundle, self._work, embedder=network.embedder)
            _warm(pipeline, bundle.manifest.placement.seen_hw)
            held = sum(array.nbytes for array in bundle.arrays.values())
            size = max(memory_in_use() - before - shared, held)
            return OpenModel(bundle, pipeline, network, size)

    def _open_file(self, entry: Entry) -> OpenModel:
        model = read_model(entry.place)
        _ensure_same(entry, model.files_sha256)
        before = memory_in_use()
        placement = model.manifest.placement
        scorer = as_seen(model.scorer(self._work), placement)
        _warm(scorer, model.picture_hw or placement.seen_hw)
        return OpenModel(model, scorer, None, max(memory_in_use() - before, entry.model.size_bytes))

    def _network(self, bundle: Bundle) -> Network:
        digest = bundle.graph_sha256
        with self._lock:
            known = self._networks.get(digest)
        if known is not None:
            return known
        before = memory_in_use()
        embedder = SharedEmbedder(bundle.graph, digest, self._work)
        black = _black(bundle.manifest.placement.image_size)
        embedder.embed(black)
        with one_core():
            embedder.embed(black)
        made = Network(embedder, max(memory_in_use() - before, len(bundle.graph)))
        with self._lock:
            self._networks[digest] = made
        return made

    def _make_room(self) -> None:
        """Drop what was used longest ago; what was opened last stays, whatever its size."""
        while self._budget is not None and len(self._kept) > 1 and self.size_bytes > self._budget:
            self._kept.popitem(last=False)


def _ensure_same(entry: Entry, files_sha256: Key) -> None:
    if files_sha256 != entry.files_sha256:
        raise BundleError(f"{entry.place} has changed since it was looked at", hint="refresh the shelf")


def _warm(scorer: Scorer, hw: HW) -> None:
    """Alone, and as beside others, which is a session of its own: both belong to what a model takes."""
    scorer.score(_black(hw))
    with one_core():
        scorer.score(_black(hw))


def _black(hw: HW) -> U8:
    return np.zeros((1, *hw, 3), np.uint8)
