"""Labelled scores from a file: a table (CSV), or lines of JSON, such as a `preds.jsonl` that somebody reviewed.

A file of Kizu's own says under `label` what Kizu said, so only its `gt_label` is the truth. What of it may set a
threshold: neither images that the run was fitted on, whose scores are too low, nor those that measure it.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kizu.bundles.store import read_fit_hash, read_hash
from kizu.core.errors import DataError, LeakageError
from kizu.core.types import F32, Bool
from kizu.core.work import Work
from kizu.data.manifest import Label, Sample, hash_image, read_manifest
from kizu.lab.held_out import read_sides
from kizu.lab.measured_set import read_own_manifest, tell_names
from kizu.runs.folder import RunFolder
from kizu.runs.scores import LabelledScore
from kizu.runs.versions import read_history, version_folder

SCORE, TRUTH, IMAGE = (
    ("pred_score", "score"),
    ("gt_label", "truth", "label"),
    ("image_path", "id", "image", "path"),
)
WORDS: Mapping[str, Label] = {
    **dict.fromkeys(("good", "ok", "normal", "0", "false"), "good"),
    **dict.fromkeys(("defect", "defective", "ng", "bad", "anomaly", "1", "true"), "defect"),
}
_HINT = (
    "columns or keys: score (or pred_score), label (or gt_label: good or defect), and image (or image_path)"
)


@dataclass(frozen=True, slots=True)
class LabelledScores:
    """What a file says."""

    rows: tuple[LabelledScore, ...]
    unlabelled: int
    """Rows without a truth, which are passed over."""

    @property
    def arrays(self) -> tuple[F32, Bool]:
        """Scores (N,), and whether each is defective (N,)."""
        scores = np.array([row.score for row in self.rows], np.float32)
        return scores, np.array([row.label == "defect" for row in self.rows], np.bool_)


def read_labelled(path: Path, folder: RunFolder, work: Work = Work()) -> LabelledScores:
    """The labelled scores in `path`, which are to set a threshold of the version in force.

    Raises `DataError` for a file without scores and truths, or of another model's scores; `LeakageError` naming images
    that the run was fitted on, or that measure it. What cannot be known, for the file does not say it, is noted.
    """
    rows, unlabelled, bundles = [], 0, set[str]()
    for where, values in _read(path):
        if values.get("superseded") in (True, "true", "True") or values.get("error"):
            continue
        row = _row(values, where)
        if row is None:
            unlabelled += 1
            continue
        rows.append(row)
        if values.get("bundle_sha256"):
            bundles.add(str(values["bundle_sha256"]))
    if not rows:
        raise DataError(f"{path} has no score with a truth ({unlabelled} rows without one)", hint=_HINT)
    _ensure_of_this_model(path, folder, bundles, work)
    _ensure_apart(path, folder, rows, work)
    return LabelledScores(tuple(rows), unlabelled)


def _read(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(where, row) of each row."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    if path.suffix.lower() != ".csv":
        yield from _read_lines(path, text)
        return
    lines = text.splitlines()
    dialect = ";" if lines and lines[0].count(";") > lines[0].count(",") else ","
    for number, values in enumerate(csv.DictReader(lines, delimiter=dialect), start=2):
        yield f"{path}, line {number}", {k.strip().lower(): v for k, v in values.items() if k and v}


def _read_lines(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            values = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{where}: this is not JSON: {error}", hint=_HINT) from error
        if not isinstance(values, dict):
            raise DataError(f"{where}: this is no JSON object", hint=_HINT)
        yield where, values


def _row(values: Mapping[str, Any], where: str) -> LabelledScore | None:
    """None: it has no truth."""
    told = _first(values, SCORE)
    try:
        score = float(told)
    except (TypeError, ValueError):
        score = float("nan")
    if not np.isfinite(score):
        raise DataError(f"{where}: the score is {told!r}", hint=_HINT)
    own = "pred_score" in values or "bundle_sha256" in values
    truth = values.get("gt_label") if own else _first(values, TRUTH)
    if truth is None:
        return None
    label = WORDS.get(str(truth).strip().lower())
    if label is None:
        raise DataError(f"{where}: the label is {truth!r}", hint=f"known are {', '.join(WORDS)}")
    source = values.get("source")
    sha256 = source.get("sha256") if isinstance(source, dict) else values.get("sha256")
    image = _first(values, IMAGE)
    if image is not None and sha256 is None:
        sha256 = _hash_where_it_lies(str(image))
    return LabelledScore(
        id=None if image is None else str(image), sha256=sha256 or None, label=label, score=score
    )


def _hash_where_it_lies(image: str) -> str | None:
    """None: there is no such file here."""
    try:
        return hash_image(Path(image)) if Path(image).is_file() else None
    except OSError:  # no name that a file can have
        return None


def _first(values: Mapping[str, Any], names: Iterable[str]) -> Any:
    return next((values[name] for name in names if values.get(name) is not None), None)


def _ensure_of_this_model(path: Path, folder: RunFolder, bundles: set[str], work: Work) -> None:
    if not bundles:
        work.note(f"{path} does not say which model gave its scores; they are taken for this run's")
        return
    history = read_history(folder.path)
    numbers = {1, history.in_force, *(step.version for step in history.steps)}
    here = read_fit_hash(folder.bundle)
    places = [version_folder(folder.path, number) for number in numbers]
    mine = {read_hash(place) for place in places if place.is_dir() and read_fit_hash(place) == here}
    if bundles - mine:
        raise DataError(
            f"{path} has scores of another model than the one in force in {folder.path}, or of an unknown bundle",
            hint="inspect these pictures with this run, and label them again",
        )


def _ensure_apart(path: Path, folder: RunFolder, rows: Iterable[LabelledScore], work: Work) -> None:
    fit, _ = read_sides(folder)
    sides: dict[str, Iterable[Sample]] = {
        "measure the run": read_own_manifest(folder).test(),
        "the run was fitted on": () if read_manifest(folder.manifest).parts else fit,
    }
    rows = list(rows)
    for what, samples in sides.items():
        known: set[str | None] = {name for s in samples for name in (s.sha256, s.id, str(s.path.resolve()))}
        met = [row for row in rows if row.sha256 in known or _identify(row) & known]
        if met:
            raise LeakageError(
                f"{path} has {len(met)} images that {what}: {tell_names([str(row.id) for row in met])}",
                hint="give other images; to set some test images apart: kizu evaluate --tune-on-validation",
            )
    unknown = sum(row.sha256 is None for row in rows)
    if unknown:
        work.note(
            f"{unknown} of {len(rows)} images in {path} could not be looked at: whether they measure this run, now or"
            " later, cannot be told by their content"
        )


def _identify(row: LabelledScore) -> set[str | None]:
    if row.id is None:
        return set()
    return {row.id, str(Path(row.id).resolve())}
