"""What thresholds promise of good pictures, beside what was measured, for documents and terminals."""

from collections.abc import Iterable, Mapping

from kizu.decision.promise import Check, Kind, percent
from kizu.report.tables import text_table

TITLES: Mapping[Kind, str] = {"image": "OK or NG", "pixel": "Where a flaw begins"}
HEAD = ("", "promised at most", "measured", "95 % interval", "good pictures", "verdict")


def worth_telling(promises: Mapping[Kind, Check]) -> dict[Kind, Check]:
    """Of images always: that nothing is promised is worth knowing; of pixels where something is."""
    return {kind: check for kind, check in promises.items() if kind == "image" or check.promise is not None}


def promise_lines(check: Check) -> list[str]:
    """Promised, measured, verdict and causes below each other."""
    return [f"{name:<9} {said}" for name, said in check.rows()]


def promise_text(promises: Mapping[Kind, Check]) -> str:
    """For a terminal, of one category."""
    return "\n\n".join(
        "\n".join([TITLES[kind], *promise_lines(check)]) for kind, check in worth_telling(promises).items()
    )


def promise_table(named: Iterable[tuple[str, Mapping[Kind, Check]]]) -> str:
    """For a terminal, of several categories; below it the causes."""
    rows, causes = [], []
    for name, promises in named:
        for kind, check in worth_telling(promises).items():
            rows.append([f"{name}, {TITLES[kind]}", *promise_cells(check)])
            causes += [f"{name}, {TITLES[kind]}: likely {cause}" for cause in check.causes]
    return "\n".join([text_table(HEAD, rows), *causes])


def promise_cells(check: Check) -> list[str]:
    """Promised, measured, interval, pictures and verdict in few words each."""
    measured = check.measured
    promised = "-" if check.promise is None else percent(check.promise.rate)
    pictures = f"{measured.pictures}"
    if measured.groups < measured.pictures:
        pictures += f" of {measured.groups} groups"
    if measured.pictures == 0:
        return [promised, "-", "-", pictures, "-"]
    low, high = measured.interval
    verdict: str = check.answer or "-"
    if verdict == "not refuted" and check.is_exceeded:
        verdict += ", but exceeded"
    return [promised, percent(measured.rate), f"{percent(low)} to {percent(high)}", pictures, verdict]
