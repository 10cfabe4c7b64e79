"""What came of one picture: its record, made of a verdict elsewhere, or of why there is none here."""

import time
from logging import getLogger
from typing import NamedTuple

from kizu.core.errors import ImageError, MismatchError, UnreadableError
from kizu.data.manifest import Sample
from kizu.inspection.inspector import Inspector
from kizu.inspection.judges import Chosen, Judges
from kizu.inspection.records import Record, error_record
from kizu.inspection.report import Outcome
from kizu.inspection.source import Source
from kizu.inspection.unknown import unknown_record

SETTLED_S = 10.0
"""A file that is no picture and was written so shortly ago may become one."""
_log = getLogger(__name__)


class Named(NamedTuple):
    """A picture to inspect; what is decided of it before the work is shared out."""

    sample: Sample
    key: str
    """Which picture it is: its absolute path."""
    name: str
    """What its mask and overlay are called."""
    known_sha256: str | None
    """The content that it was judged with before."""


class Result(NamedTuple):
    """What came of one picture."""

    named: Named
    record: Record | None
    """None: its content is the one that was judged before."""
    may_pass: bool = False
    """Whether trying again soon may help."""


def refused(
    judges: Judges, named: Named, source: Source, error: ImageError, inspector: Inspector | None = None
) -> Result:
    """No picture, not whole yet, or not to be read now."""
    if isinstance(error, UnreadableError):
        return failure(
            judges, named, source, error.message, "unreadable", inspector, may_pass=_may_pass(error)
        )
    if isinstance(error, MismatchError):
        return failure(judges, named, source, error.message, "mismatched", inspector)
    age_s = (time.time_ns() - (source.mtime_ns or 0)) / 1e9
    outcome: Outcome = "unfinished" if age_s < SETTLED_S else "damaged"
    return failure(judges, named, source, error.message, outcome, inspector, may_pass=outcome == "unfinished")


def failure(
    judges: Judges,
    named: Named,
    source: Source,
    message: str,
    outcome: Outcome,
    inspector: Inspector | None = None,
    *,
    may_pass: bool = False,
) -> Result:
    """Why there is no verdict. `inspector`: that would have judged; None: it was not found yet, unless there is one
    alone."""
    only = judges.only
    by = only or inspector
    record = error_record(
        str(named.sample.path),
        message,
        None if by is None else by.bundle_sha256,
        outcome=outcome,
        source=source,
        category=None if only or by is None else by.manifest.category,
    )
    return Result(named, record, may_pass)


def unforeseen(
    judges: Judges, named: Named, source: Source, error: Exception, inspector: Inspector | None = None
) -> Result:
    """What nobody thought of: it is logged as a whole."""
    _log.warning("picture failed path=%s", named.sample.path, exc_info=error)
    told = f"{named.sample.path}: {type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        return failure(judges, named, source, f"{told} (no memory)", "unreadable", inspector, may_pass=True)
    return failure(judges, named, source, told, "failed", inspector)


def of_none(named: Named, source: Source, chosen: Chosen, timings: dict[str, float]) -> Result:
    """It shows none of the products: nobody judges it."""
    assert chosen.retrieved is not None
    record = unknown_record(
        str(named.sample.path),
        chosen.retrieved,
        gt_label=named.sample.label,
        timings=timings,
        source=source,
    )
    return Result(named, record)


def _may_pass(error: UnreadableError) -> bool:
    """Not where the file itself is missing or locked up in a folder that is there; the next call looks again."""
    if isinstance(error.__cause__, PermissionError):
        return False
    return not isinstance(error.__cause__, FileNotFoundError) or not (
        error.path is not None and error.path.parent.is_dir()
    )
