"""Verdicts made again from the scores that `preds.jsonl` holds, by another threshold and without the pictures.

Every line is superseded by one that says so (`redecided`), all in one move. What a score cannot tell is not told:
flaws of a picture that becomes NG were never cut, nor are those of an NG picture known at another pixel threshold. Such
a line lists none, and the next `kizu inspect` looks at its picture again. Where the map decided, in a region of
interest, a score decides nothing, and all is refused.

redecisions.jsonl    a line for each time: when, why, from what to what, and what came of it
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kizu.core.environment import FILE_NAME_ERRORS
from kizu.core.errors import DataError, OutputError
from kizu.core.files import read_json, read_jsonl, replace_whole, write_json, write_jsonl
from kizu.core.provenance import utc_now
from kizu.decision.calibration import Thresholds
from kizu.decision.policy import told_apart
from kizu.inspection.journal import Journal, lines_of, owner_of, read_settings, write_settings
from kizu.inspection.ledger import Ledger, is_open
from kizu.inspection.records import Prediction, Record, parse_record
from kizu.inspection.report import Report, ReportThresholds
from kizu.inspection.table import csv_lines

LOG = "redecisions.jsonl"
_AGAIN = "inspect the pictures again, into another --output-dir"


@dataclass(frozen=True, slots=True)
class Limits:
    """What is decided by."""

    image: float
    bundle_sha256: str | None = None
    """Of the bundle whose thresholds these are; None: a value, for lines of any bundle, whose pixel threshold stays."""
    known: Mapping[str, Thresholds] | None = None
    """Of a bundle: the thresholds of all that give the same scores, by hash, its own among them."""

    @property
    def thresholds(self) -> Thresholds | None:
        """Of the bundle."""
        return None if self.bundle_sha256 is None or self.known is None else self.known[self.bundle_sha256]

    def cuts_as(self, line: Prediction) -> bool:
        """Whether flaws are cut at the pixel thresholds that those of `line` were cut at."""
        now = self.thresholds
        if now is None or self.known is None:
            return True
        return _pixel_values(self.known[line.bundle_sha256]) == _pixel_values(now)


@dataclass(slots=True)
class Counts:
    """What came of it."""

    ok_to_ng: int = 0
    ng_to_ok: int = 0
    stayed: int = 0
    """Lines whose verdict is the same by the new threshold."""
    flaws_unknown: int = 0
    """NG lines that list no flaws for none were ever cut so: to be looked at again."""
    not_decided: int = 0
    """Lines of pictures that could not be inspected: they have no score."""


@dataclass(frozen=True, slots=True)
class Redecision:
    """The same, with where it lies."""

    counts: Counts
    image_threshold: float
    was_there: bool
    """Every line was decided by this threshold already."""
    images: str | None
    """The folder of pictures that the results are of, where they say so."""


def redecide_folder(folder: Path, limits: Limits, reason: str) -> Redecision:
    """Decide all lines in `folder` again, write its report, and remove the pictures that contradict their line.

    The same call again after a kill completes it. Raises `OutputError` for a folder that holds no results or is in use
    by another command, and for results in a region of interest; `DataError` for lines of another model.
    """
    read_settings(folder)  # a folder without results is left as it is
    with Journal(folder, None) as journal:
        settings = read_settings(folder)
        ensure_of_one(folder, settings)
        if settings.get("roi") is not None:
            raise OutputError(
                f"{folder} was inspected in a region of interest, where the map decides and no score does",
                hint=_AGAIN,
            )
        Ledger(journal, folder)  # of two lines of one picture, that a kill left, one stands
        counts = _count(journal, limits)
        changes = counts.ok_to_ng + counts.ng_to_ok + counts.stayed
        if changes:
            at = _log(folder, limits, reason, counts)
            journal.replace(_rewritten(journal, limits, settings, at, reason))
        write_settings(folder, _settings_of(settings, limits))
        _remove_pictures(folder, journal)
        _write_report(folder, Ledger(journal, folder), limits)
        if not changes:
            counts.flaws_unknown = sum(is_open(line.record) for line in _standing(journal))
    return Redecision(counts, limits.image, was_there=not changes, images=owner_of(folder))


def ensure_of_one(folder: Path, settings: Mapping[str, Any]) -> None:
    """Raises `OutputError` for results of several models: the threshold of one says nothing of another's scores."""
    if "products" in settings:
        raise OutputError(
            f"{folder} holds results of several products, whose scores no one threshold decides on",
            hint="inspect the pictures again with the models that have the new thresholds, into another --output-dir",
        )


def _standing(journal: Journal) -> Iterator[Any]:
    return (line for line in journal.lines() if not line.record.superseded)


def _is_to_change(record: Record, limits: Limits) -> bool:
    if record.superseded or not isinstance(record, Prediction):
        return False
    wanted = limits.bundle_sha256 or record.bundle_sha256
    return (record.image_threshold, record.bundle_sha256) != (limits.image, wanted)


def _count(journal: Journal, limits: Limits) -> Counts:
    """Raises `DataError` for lines whose score the limits say nothing about."""
    counts = Counts()
    strange = 0
    for record in (line.record for line in _standing(journal)):
        if not isinstance(record, Prediction):
            counts.not_decided += 1
            continue
        if record.decided_by == "regions":
            raise DataError(f"{record.image_path} was decided on by its map, not by its score", hint=_AGAIN)
        if limits.known is not None and record.bundle_sha256 not in limits.known:
            strange += 1
            continue
        if not _is_to_change(record, limits):
            continue
        now = "NG" if record.pred_score > limits.image else "OK"
        counts.ok_to_ng += (record.label, now) == ("OK", "NG")
        counts.ng_to_ok += (record.label, now) == ("NG", "OK")
        counts.stayed += record.label == now
        counts.flaws_unknown += now == "NG" and not _knows_flaws(record, limits)
    if strange:
        raise DataError(
            f"{strange} lines of {journal.path} are of another model, or of a bundle that the run does not have: its"
            " thresholds say nothing of their scores",
            hint=_AGAIN,
        )
    return counts


def _rewritten(
    journal: Journal, limits: Limits, settings: dict[str, Any], at: str, reason: str
) -> Iterator[dict[str, Any]]:
    """All lines as they are, those that are decided again superseded; then the new ones."""
    for line in journal.lines():
        superseded = line.record.superseded or _is_to_change(line.record, limits)
        yield {**line.record.as_json(), "superseded": superseded}
    for line in _standing(journal):
        if _is_to_change(line.record, limits):
            yield _decided(line.record, limits, settings, at, reason).as_json()


def _decided(line: Prediction, limits: Limits, settings: dict[str, Any], at: str, reason: str) -> Record:
    label = "NG" if line.pred_score > limits.image else "OK"
    score, limit = told_apart(line.pred_score, limits.image)
    flaws_known = label == "OK" or _knows_flaws(line, limits)
    values = line.as_json() | {
        "image_threshold": limits.image,
        "label": label,
        "is_anomaly": label == "NG",
        "decided_by": "score",
        "reason": f"score {score} {'>' if label == 'NG' else '<='} {limit}",
        "redecided": {
            "at": at,
            "reason": reason,
            "label_before": line.label,
            "image_threshold_before": line.image_threshold,
            "bundle_sha256_before": line.bundle_sha256,
            "flaws_known": flaws_known,
        },
    }
    if limits.thresholds is not None and limits.bundle_sha256 is not None:
        pixel = limits.thresholds.pixel.value
        mult = float(settings.get("policy", {}).get("pixel_threshold_mult", 1.0))
        values |= {
            "bundle_sha256": limits.bundle_sha256,
            "pixel_threshold": pixel,
            "effective_pixel_threshold": pixel * mult,
        }
    if label != line.label or not flaws_known:
        values |= {"num_defects": 0, "total_defect_area": 0, "defects": []}
        for shown in ("mask_path", "overlay_path", "highest_spot"):
            values.pop(shown, None)
    return parse_record(values, where=line.image_path)


def _knows_flaws(line: Prediction, limits: Limits) -> bool:
    """Whether the flaws that `line` lists are those of an NG picture at the new pixel threshold."""
    return line.label == "NG" and not is_open(line) and limits.cuts_as(line)


def _pixel_values(thresholds: Thresholds) -> tuple[float, ...]:
    zones = thresholds.zones
    return (thresholds.pixel.value,) if zones is None else tuple(zone.value for zone in zones.zones)


def _log(folder: Path, limits: Limits, reason: str, counts: Counts) -> str:
    """Note it before it is done; a call that is made again after a kill finds its note. Returns the time."""
    path = folder / LOG
    rows = list(read_jsonl(path)) if path.exists() else []
    told = {
        "image_threshold": limits.image,
        "bundle_sha256": limits.bundle_sha256,
        "reason": reason,
        **asdict(counts),
    }
    if rows and {key: rows[-1].get(key) for key in told} == told:
        return str(rows[-1]["at"])
    at = utc_now()
    write_jsonl(path, [*rows, {"at": at, **told}])
    return at


def _settings_of(settings: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """With a bundle the very settings that `kizu inspect` has, which can go on there; with a value others."""
    kept = {key: value for key, value in settings.items() if key != "image_threshold"}
    if limits.bundle_sha256 is None:
        return {**kept, "image_threshold": limits.image}
    return {**kept, "bundle_sha256": limits.bundle_sha256}


def _remove_pictures(folder: Path, journal: Journal) -> None:
    """Those that only superseded lines name."""
    named: dict[bool, set[Path]] = {True: set(), False: set()}
    for record in (line.record for line in journal.lines()):
        if isinstance(record, Prediction):
            for told, place in ((record.mask_path, "masks"), (record.overlay_path, "overlays")):
                _, found, name = Path(told or "").as_posix().rpartition(f"/{place}/")
                if found:  # wherever the folder was at that time
                    named[record.superseded].add(folder / place / name)
    for path in named[True] - named[False]:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error


def _write_report(folder: Path, ledger: Ledger, limits: Limits) -> None:
    path = folder / "report.json"
    before = Report.parse(read_json(path), where=str(path))
    if limits.thresholds is not None:
        thresholds = ReportThresholds.of(limits.thresholds)
    else:
        by_hand = {"image_threshold": limits.image, "rule": "set by hand", "count": 0}
        thresholds = before.thresholds.model_copy(
            update={**by_hand, "false_alarm_rate": None, "quantile_image": None}
        )
    names = ("model", "category", "run_id", "passed_over")
    head = {name: getattr(before, name) for name in names if getattr(before, name) is not None}
    report = ledger.tally.report_under({**head, "thresholds": thresholds})
    write_json(path, report.as_json(), durable=False)
    table = folder / "preds.csv"
    if table.exists():
        with (
            replace_whole(table, durable=False) as temporary,
            temporary.open("w", encoding="utf-8", errors=FILE_NAME_ERRORS) as out,
        ):
            out.writelines(csv_lines(lines_of(folder / "preds.jsonl")))
