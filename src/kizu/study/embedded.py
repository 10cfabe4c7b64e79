"""What the network makes of test pictures, clean and shifted: a vector each, kept for the report's map of them."""

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kizu.core.errors import DataError
from kizu.core.files import write_bytes
from kizu.core.hashing import hash_value
from kizu.core.split import Split
from kizu.core.types import F32, Bool
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.study.config import StudyConfig
from kizu.study.pictures import CategoryPictures


@dataclass(frozen=True, slots=True)
class Embedded:
    """Of N pictures of a category, the test split of the first seed, clean and then shifted at the highest severity."""

    vectors: F32
    """(N, D): the mean over patches of what the network of the first method gives"""
    defective: Bool
    """(N,)"""
    shifted: Bool
    """(N,)"""


def write_embedded(config: StudyConfig, pictures: CategoryPictures, folder: Path, work: Work) -> None:
    """`folder`/embedded/<category>.npz, unless it is there already, of these very pictures."""
    path, seed, severity = _path(folder, pictures.name), config.seeds[0], max(config.severities)
    sets = [
        which
        for which in (("", 0), (config.shift, severity))
        if which == ("", 0) or which in pictures.shifted
    ]
    mark = hash_value([config.sha256(), pictures.sha256(seed)])
    if path.exists() and _mark_of(path) == mark:
        return
    method = next(iter(config.methods))
    unfitted = UnfittedPipeline.prepare(config.pipeline(method, seed), work)
    parts = []
    for which in sets:
        for batch in stream(pictures.of(seed, [which], Split.TEST), unfitted.config.placement):
            means = unfitted.embedder.embed(batch.images).mean(axis=(1, 2))  # (n, D)
            defective = np.array([sample.label == "defect" for sample in batch.samples])
            parts.append((means, defective, np.full(len(means), which != ("", 0))))
    vectors, defective, shifted = (np.concatenate(column) for column in zip(*parts, strict=True))
    stream_of_bytes = io.BytesIO()
    arrays: dict[str, NDArray[np.generic]] = {"vectors": vectors, "defective": defective, "shifted": shifted}
    np.savez(stream_of_bytes, mark=np.array(mark), **arrays)  # type: ignore[arg-type]
    write_bytes(path, stream_of_bytes.getvalue(), durable=False)


def read_embedded(folder: Path, category: str) -> Embedded | None:
    """None where there is none. Raises `DataError` for a file that cannot be read."""
    path = _path(folder, category)
    if not path.exists():
        return None
    try:
        with np.load(path, allow_pickle=False) as found:
            return Embedded(found["vectors"], found["defective"], found["shifted"])
    except (OSError, ValueError, KeyError) as error:
        raise DataError(
            f"{path} cannot be read: {error}", hint="remove it, and run the study again"
        ) from error


def _mark_of(path: Path) -> str:
    try:
        with np.load(path, allow_pickle=False) as found:
            return str(found["mark"])
    except (OSError, ValueError, KeyError):
        return ""


def _path(folder: Path, category: str) -> Path:
    return folder / "embedded" / f"{category}.npz"
