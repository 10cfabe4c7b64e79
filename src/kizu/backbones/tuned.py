"""A folder that `kizu tune` made, as a backbone; without torch."""

from pathlib import Path
from typing import Any

from kizu.backbones import BACKBONES
from kizu.core.config import Stored
from kizu.core.errors import BackboneError
from kizu.core.files import read_stored
from kizu.core.hashing import hash_file

GRAPH, PROVENANCE = "backbone.onnx", "tune.json"


class Provenance(Stored):
    """`tune.json`: how a tuned backbone came about."""

    created_at: str
    base: str
    base_sha256: str
    config: dict[str, Any]
    placement: str
    graph_sha256: str
    weights_sha256: str
    images: tuple[str, ...]
    """SHA-256 of the images that were trained or validated on. The network knows them: they set no threshold."""
    validation_losses: tuple[float, ...]
    """Before the first epoch, and after each"""
    epochs: int
    parity: float
    seconds: float
    versions: dict[str, str]


def is_tuned(name_or_path: str) -> bool:
    """Whether it is a folder, as tuning makes one, and no name that is known."""
    return name_or_path not in BACKBONES and Path(name_or_path).is_dir()


def find_graph(name_or_path: str) -> Path:
    """The graph in a tuned folder. Raises `BackboneError` for one that is not finished or was changed."""
    folder = Path(name_or_path)
    if not (folder / PROVENANCE).is_file():
        raise BackboneError(
            f"{folder} holds no tuned backbone ({PROVENANCE} is missing)",
            hint="run the same kizu tune again: it goes on where it was stopped",
        )
    graph = folder / GRAPH
    if not graph.is_file() or hash_file(graph) != read_provenance(folder).graph_sha256:
        raise BackboneError(
            f"{graph} is missing, or not the graph that was tuned", hint="tune again, or copy it whole"
        )
    return graph


def read_provenance(folder: Path) -> Provenance:
    """Where a tuned backbone is from. Raises `DataError`."""
    return read_stored(folder / PROVENANCE, Provenance)


def images_known(name_or_path: str) -> frozenset[str]:
    """SHA-256 of the images that a backbone was tuned on; none for any other backbone."""
    return frozenset(read_provenance(Path(name_or_path)).images) if is_tuned(name_or_path) else frozenset()
