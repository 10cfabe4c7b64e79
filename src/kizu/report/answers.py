"""Answers in words, with the promise beside the measurement: what stands on top of a page."""

from collections.abc import Mapping

from kizu.decision.promise import Check, percent
from kizu.inspection.mixed import MixedReport
from kizu.inspection.report import Report
from kizu.lab.evaluate import Evaluation
from kizu.pages.content import Said, Tone

TONES: Mapping[str, Tone] = {"kept": "good", "not refuted": "open", "broken": "bad"}


def evaluation_answer(model: str, category: str, evaluation: Evaluation) -> list[Said]:
    """What was found and rejected, and what had been promised of that."""
    counts, spans = evaluation.confusion, evaluation.intervals
    bad, good = counts["tp"] + counts["fn"], counts["fp"] + counts["tn"]
    check = evaluation.promises.get("image")
    told = []
    if bad:
        span = spans.get("image_recall")
        found = _share(counts["tp"], bad, None if span is None else (span.low, span.high))
        told.append(f"finds {counts['tp']} of {bad} defective pictures ({found})")
    if good:
        span = spans.get("image_overkill_rate")
        within = None if span is None else (span.low, span.high)
        if check is not None and check.measured.pictures:
            within = check.measured.interval  # that which the promise is held against
        rejected = _share(counts["fp"], good, within)
        told.append(f"rejects {counts['fp']} of {good} good ones ({rejected})")
    answer = [Said(f"On {category}, {model} {' and '.join(told)}.")]
    return answer if check is None else answer + promise_said(check)


def promise_said(check: Check) -> list[Said]:
    """What the image threshold promised, and what came of it."""
    if check.promise is None:
        return [Said("Its threshold promised nothing of good parts.", "open")]
    rows = dict(check.rows())
    tone = TONES.get(check.answer or "", "open")
    promised = f"It promised to reject at most {percent(check.promise.rate)} of good parts"
    said = [Said(f"{promised}. {_capital(rows['verdict'])}.", tone)]
    return said + [Said(f"Likely: {cause}.") for cause in check.causes]


def inspection_answer(report: Report) -> list[Said]:
    """How many were called what, and what is not known about that."""
    told = f"{report.num_ng} of {report.num_images} pictures are NG"
    if report.num_images:
        told += f" ({percent(report.ng_rate)}); {report.num_ok} are OK"
    answer = [Said(f"{told}."), *inspection_problems(report)]
    rate = report.thresholds.false_alarm_rate
    promise = (
        "Its threshold promises nothing of good parts"
        if rate is None
        else f"Its threshold promises to reject at most {percent(rate)} of good parts like those it was set on"
    )
    if report.assumed_good is None:
        answer.append(
            Said(f"{promise}. Which of these parts are good was not said, so nothing was measured.", "open")
        )
        return answer
    rows = dict(report.assumed_good.says)
    tone = TONES.get(rows.get("verdict", "").split(":")[0], "open")
    answer.append(Said(f"{promise}. All were declared good: {rows.get('measured', '')}."))
    return [*answer, Said(f"{_capital(rows.get('verdict', ''))}.", tone)]


def inspection_problems(report: Report | MixedReport) -> list[Said]:
    """What has no verdict."""
    said = []
    if report.num_errors:
        said.append(Said(f"{report.num_errors} could not be inspected: they have no verdict.", "bad"))
    if report.num_unread:
        said.append(Said(f"{report.num_unread} files in other formats were passed over.", "bad"))
    return said


def _share(count: int, total: int, within: tuple[float, float] | None) -> str:
    share = percent(count / total)
    return share if within is None else f"{share}; 95 % interval {percent(within[0])} to {percent(within[1])}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
