"""Many images to one folder of results: `preds.jsonl`, `masks/`, `overlays/`, `report.json`.

Whatever goes wrong with one picture becomes that picture's line, and the rest goes on. What was done stays done: the
same call again goes on after it, and looks anew at what has changed since.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from kizu.core.environment import FILE_NAME_ERRORS
from kizu.core.files import replace_whole, write_json
from kizu.core.work import Work
from kizu.data.manifest import Sample
from kizu.data.passed import PassedOver
from kizu.inspection.declared import Declared, Judged, ReportAssumedGood, measure_declared
from kizu.inspection.inspector import Inspector
from kizu.inspection.journal import Journal, lines_of
from kizu.inspection.judges import Judges
from kizu.inspection.ledger import Ledger
from kizu.inspection.mixed import MixedReport
from kizu.inspection.options import FolderOptions
from kizu.inspection.pieces import InspectPieces, TrueMask
from kizu.inspection.records import Failure, Record
from kizu.inspection.report import Report
from kizu.inspection.results import SETTLED_S, Named, Result
from kizu.inspection.source import identify, stamp_at
from kizu.inspection.table import csv_lines
from kizu.inspection.tally import told_rejected

PAUSES_S = (0.5, 1.0, 2.0)
"""A picture that could not be read, for a reason that may pass, is tried again after each of these."""
REPORT_SHARE = 20
"""While a folder is watched, the report is not written again before this many times what writing it took."""
TOLD_FAILURES = 5
OnRecord = Callable[[Record], None]


class Arrivals(Protocol):
    """Gives pictures piece by piece; an empty piece says that time passes."""

    def __iter__(self) -> Iterator[Sequence[Sample]]: ...

    def put_back(self, sample: Sample, *, after_s: float | None = None) -> None:
        """Give it again later, though it has not changed."""
        ...


@dataclass(frozen=True, slots=True)
class FolderResult:
    """What came of it."""

    report: Report | MixedReport
    """Of one model, or of several."""
    skipped: int
    """Images that an earlier call had done, and that have not changed since."""
    num_ng: int
    """Of the images that this call was given; the report is on all that the folder has lines of."""
    num_failed: int
    """The same: those that could not be inspected."""
    failures: tuple[str, ...]
    """Why, of the first few of these."""
    num_unknown: int = 0
    """The same: those that show none of the products of several models."""
    unknown: tuple[str, ...] = ()
    """Which, of the first few of these."""

    @property
    def reports(self) -> Mapping[str, Report]:
        """By product: of one model its report, of several those of all."""
        if isinstance(self.report, MixedReport):
            return self.report.products
        return {self.report.category: self.report}

    rejected: tuple[str, ...] = ()
    """The NG ones that this call was given, the highest score first, a line for each of the first few, and how many
    more there are."""


class FolderRunner:
    """One inspector, or one for each of several products; one output folder."""

    def __init__(
        self,
        inspector: Inspector | Judges,
        output_dir: Path,
        options: FolderOptions | None = None,
        *,
        true_mask: TrueMask | None = None,
        work: Work | None = None,
        belongs_to: str | None = None,
        passed_over: Callable[[], Sequence[PassedOver]] = tuple,
    ) -> None:
        """`true_mask`: its outline is drawn on the overlay. `work`: None: the inspector's. `belongs_to`: the folder of
        images that `output_dir` was chosen for; None: somebody chose it. `passed_over`: asked whenever `report.json` is
        written."""
        self._judges = inspector if isinstance(inspector, Judges) else Judges.one(inspector)
        self._output_dir, self._belongs_to = output_dir, belongs_to
        self._passed_over = passed_over
        self._options = options or FolderOptions()
        self._work = work or self._judges.work
        self._make = InspectPieces(self._judges, output_dir, self._options, true_mask)

    def run(self, samples: Sequence[Sample], declared: Mapping[str, Declared] | None = None) -> FolderResult:
        """Inspect `samples`, each file once, that have no line of their present content; then write `report.json`.

        `declared`: all of them are good, so the report has promise and measurement, by product. No verdict is another
        for that.

        Raises `OutputError` when the folder cannot be written or holds the results of another bundle.
        """
        with self._journal() as journal:
            ledger = Ledger(journal, self._output_dir)
            each = {identify(sample.path): sample for sample in samples}
            waiting = [sample for sample in each.values() if not ledger.is_done(sample)]
            results = self._inspect(waiting, ledger)
            skipped = len(each) - len(waiting) + sum(result.record is None for result in results)
            for pause in PAUSES_S:
                again = [result for result in results if result.may_pass]
                if not again:
                    break
                time.sleep(pause)
                results = self._inspect([r.named.sample for r in again if _is_worth_a_try(r)], ledger)
            return self._result(ledger, each, skipped, declared)

    def watch(self, arrivals: Arrivals, on_record: OnRecord | None = None) -> FolderResult:
        """Inspect what `arrivals` gives, piece by piece, each content of a file once, until it ends.

        `report.json` is written as it goes, and when the arrivals stop with an error or Ctrl-C.
        """
        self._work = self._work.quiet()  # nobody knows how many will come
        pace = Pace(REPORT_SHARE)
        with self._journal() as journal:
            ledger = Ledger(journal, self._output_dir)
            offered: dict[str, bool] = {}
            """Whether an earlier call had done the picture."""
            try:
                for samples in arrivals:
                    each = {identify(sample.path): sample for sample in samples}
                    new = {key: sample for key, sample in each.items() if not ledger.is_done(sample)}
                    results = self._inspect(list(new.values()), ledger, on_record)
                    for result in results:
                        _put_back(arrivals, result)
                    changed = new.keys() - {r.named.key for r in results if r.record is None}
                    for key in each:
                        offered.setdefault(key, key not in changed)
                    pace.want(bool(new))
                    pace.call(lambda: self._report(ledger))
            finally:
                found = self._result(ledger, offered, sum(offered.values()))
        return found

    def _result(
        self,
        ledger: Ledger,
        keys: Iterable[str],
        skipped: int,
        declared: Mapping[str, Declared] | None = None,
    ) -> FolderResult:
        good = {
            name: measure_declared(known, self._judges.inspectors[name], _judged(ledger, keys, name))
            for name, known in (declared or {}).items()
        }
        report = self._report(ledger, good)
        verdicts = {key: ledger.tally.verdict(key) for key in keys}
        unknown = [key for key in verdicts if ledger.tally.is_unknown(key)]
        failed = [key for key, verdict in verdicts.items() if verdict is None and key not in set(unknown)]
        return FolderResult(
            report,
            skipped,
            num_ng=sum(verdict == "NG" for verdict in verdicts.values()),
            num_failed=len(failed),
            failures=tuple(ledger.error(key) or f"{key}: has no line" for key in failed[:TOLD_FAILURES]),
            num_unknown=len(unknown),
            unknown=tuple(unknown[:TOLD_FAILURES]),
            rejected=told_rejected(
                ledger.tally, [key for key, verdict in verdicts.items() if verdict == "NG"]
            ),
        )

    def _journal(self) -> Journal:
        settings: dict[str, Any] = {
            **self._judges.settings(),
            "save_masks": self._options.save_masks,
            "save_overlays": self._options.save_overlays,
        }
        if self._options.overlay != "blend":
            settings["overlay"] = self._options.overlay
        if self._options.refuse_pages:
            settings["refuse_pages"] = True
        return Journal(self._output_dir, settings, belongs_to=self._belongs_to)

    def _report(
        self, ledger: Ledger, assumed_good: Mapping[str, ReportAssumedGood] = {}
    ) -> Report | MixedReport:
        report = self._judges.report(ledger.tally, self._passed_over(), assumed_good)
        write_json(self._output_dir / "report.json", report.as_json(), durable=False)  # the lines must last
        if self._options.save_csv:
            with (
                replace_whole(self._output_dir / "preds.csv", durable=False) as temporary,
                temporary.open("w", encoding="utf-8", errors=FILE_NAME_ERRORS) as out,
            ):
                out.writelines(csv_lines(lines_of(self._output_dir / "preds.jsonl")))
        return report

    def _inspect(
        self, waiting: Sequence[Sample], ledger: Ledger, on_record: OnRecord | None = None
    ) -> list[Result]:
        """Each worker takes a few images all the way, from file to pictures: nobody waits for anybody in between.

        What is returned are the results without their verdicts: which may be tried again, and which had not changed.
        """
        workers = self._options.workers or self._work.core_count
        size = max(1, min(self._options.batch_size, len(waiting) // workers))
        pieces = (
            [self._named(sample, ledger) for sample in waiting[start : start + size]]
            for start in range(0, len(waiting), size)
        )
        kept: list[Result] = []
        finished = 0
        for _, results in self._work.share(self._make, pieces, workers=workers):
            for result in results:
                finished += 1
                if result.record is None or result.may_pass:
                    kept.append(result)
                if result.record is None or not ledger.add(result.named.key, result.record):
                    continue
                if on_record is not None:
                    on_record(result.record)
            self._work.report("inspect", finished, len(waiting))
        return kept

    def _named(self, sample: Sample, ledger: Ledger) -> Named:
        key = identify(sample.path)
        return Named(sample, key, ledger.names.name(sample.id, key), ledger.known_content(key))


class Pace:
    """Calls what is wanted, but not so often that it takes more than a part of the time."""

    def __init__(self, share: int) -> None:
        self._share = share
        self._is_wanted = False
        self._not_before = 0.0

    def want(self, is_wanted: bool) -> None:
        """From now on until it is called, where `is_wanted`."""
        self._is_wanted |= is_wanted

    def call(self, what: Callable[[], object]) -> None:
        """Call `what` where it is wanted and its time has come."""
        start = time.monotonic()
        if not self._is_wanted or start < self._not_before:
            return
        what()
        self._is_wanted = False
        end = time.monotonic()
        self._not_before = end + self._share * (end - start)


def _judged(ledger: Ledger, keys: Iterable[str], category: str) -> Iterator[Judged]:
    """Those of the pictures that have a verdict of this product's model."""
    for key in keys:
        if ledger.tally.category(key) != category:
            continue
        verdict, score, content = (
            ledger.tally.verdict(key),
            ledger.tally.score(key),
            ledger.known_content(key),
        )
        if verdict is not None and score is not None:
            yield Judged(content or key, score, verdict == "NG")


def _is_worth_a_try(result: Result) -> bool:
    """A file that was being written is, when it has changed since."""
    if not isinstance(result.record, Failure) or result.record.outcome != "unfinished":
        return True
    source, stamp = result.record.source, stamp_at(result.named.sample.path)
    return source is None or stamp is None or (source.size, source.mtime_ns) != stamp[:2]


def _put_back(arrivals: Arrivals, result: Result) -> None:
    """A file that was being written comes by itself when it changes; where it does not, it is damaged by then."""
    if isinstance(result.record, Failure) and result.may_pass:
        arrivals.put_back(
            result.named.sample, after_s=SETTLED_S if result.record.outcome == "unfinished" else None
        )
