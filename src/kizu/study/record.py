"""A trial's file: what was measured, sealed, so that what is torn or was changed is known and measured again."""

from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from kizu.core.config import Stored
from kizu.core.errors import DataError, KizuError
from kizu.core.files import read_json, write_json
from kizu.core.hashing import hash_value
from kizu.core.types import F64, Bool
from kizu.study.conditions import Key


class Cost(Stored):
    """What a clock and a scale say: of this machine and moment, and in no table that must repeat."""

    fit_seconds: float
    latency_ms: float | None
    """Of one picture, from the network's input to score and map"""
    model_bytes: int


class Record(Stored):
    """One trial."""

    category: str
    method: str
    seed: int
    condition: str
    severity: int
    count: int
    study_sha256: str
    pictures_sha256: str
    metrics: dict[str, float | None] = Field(default_factory=dict)
    reasons: dict[str, str] = Field(default_factory=dict)
    """Why a metric is None"""
    auroc_interval: tuple[float, float] | None = None
    image_threshold: float | None = None
    pixel_threshold: float | None = None
    rules: tuple[str, ...] = ()
    """Of both thresholds"""
    fitted: int = 0
    validated: int = 0
    """How many images the model, and the thresholds, rest on"""
    ids: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    """Of each test image; "good" for a good one"""
    scores: tuple[float, ...] = ()
    error: str | None = None
    """Why nothing could be measured"""
    cost: Cost | None = None

    @property
    def key(self) -> Key:
        return Key(self.category, self.method, self.seed, self.condition, self.severity, self.count)

    @property
    def defective(self) -> Bool:
        """(N,)"""
        return np.array([kind != "good" for kind in self.kinds], bool)

    @property
    def raw(self) -> F64:
        """(N,) scores"""
        return np.array(self.scores, np.float64)

    @property
    def rejected(self) -> Bool:
        """(N,) verdicts"""
        if self.image_threshold is None:
            raise DataError(f"{self.key} has no threshold")
        return np.asarray(self.raw > self.image_threshold)


def record_path(folder: Path, key: Key) -> Path:
    """Where a trial's file is."""
    return folder / "trials" / key.category / key.method / str(key.seed) / f"{key.name}.json"


def write_record(folder: Path, record: Record) -> None:
    """Whole or not at all, and on the disk. Raises `OutputError`."""
    values = record.model_dump(mode="json")
    write_json(record_path(folder, record.key), {"sha256": hash_value(values), "record": values})


def read_record(folder: Path, key: Key) -> Record | None:
    """None where there is none, or not as it was written."""
    path = record_path(folder, key)
    if not path.exists():
        return None
    try:
        found: dict[str, Any] = read_json(path)
        values = found.get("record")
        if not isinstance(values, dict) or hash_value(values) != found.get("sha256"):
            return None
        record = Record.parse(values, where=str(path))
    except KizuError:
        return None
    return record if record.key == key else None
