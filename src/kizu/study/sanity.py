"""What must hold whatever the pictures are: where it does not, no number of the study can be believed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from kizu.study.conditions import Key
from kizu.study.record import Record

UNTOUCHED = ("image_auroc", "image_auprc", "image_oracle_f1_max", "pixel_auroc", "pixel_auprc", "aupro_030")
"""Metrics that know no threshold."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was checked."""

    what: str
    trials: int
    failures: tuple[str, ...]


def check_records(records: Mapping[Key, Record]) -> list[Check]:
    """New thresholds alone change no score and no metric that knows no threshold; a shift at severity 0 changes nothing
    at all, to the last digit; every condition met the same parts."""
    found = [_zero(records), _thresholds(records), _same_parts(records)]
    return [check for check in found if check.trials]


def _zero(records: Mapping[Key, Record]) -> Check:
    pairs = [(records[key], records[key.beside("clean")]) for key in records if key.condition == "zero"]
    failures = [
        f"{zero.key}: {what} differ"
        for zero, clean in _measured(pairs)
        for what, one, other in (
            ("scores", zero.scores, clean.scores),
            ("metrics", zero.metrics, clean.metrics),
            ("images", zero.ids, clean.ids),
        )
        if one != other
    ]
    return Check("severity 0 equals clean, to the last digit", len(pairs), tuple(failures))


def _thresholds(records: Mapping[Key, Record]) -> Check:
    changed = {"thresholds": "shifted", "global_pooled": "global", "global_shifted_pooled": "global_shifted"}
    pairs = [
        (record, records[key.beside(changed[key.condition])])
        for key, record in records.items()
        if key.condition in changed and key.beside(changed[key.condition]) in records
    ]
    failures = [
        f"{new.key}: {name} is {new.metrics[name]}, was {old.metrics[name]}"
        for new, old in _measured(pairs)
        for name in UNTOUCHED
        if new.metrics[name] != old.metrics[name]
    ]
    failures += [f"{new.key}: scores differ" for new, old in _measured(pairs) if new.scores != old.scores]
    return Check("new thresholds alone change no AUROC", len(pairs), tuple(failures))


def _same_parts(records: Mapping[Key, Record]) -> Check:
    pairs = [
        (record, records[key.beside("clean")]) for key, record in records.items() if key.condition != "clean"
    ]
    failures = [
        f"{one.key} has met other images than clean"
        for one, clean in _measured(pairs)
        if (one.ids, one.kinds) != (clean.ids, clean.kinds)
    ]
    return Check("every condition met the same parts", len(pairs), tuple(failures))


def _measured(pairs: list[tuple[Record, Record]]) -> Iterator[tuple[Record, Record]]:
    return (pair for pair in pairs if pair[0].error is None and pair[1].error is None)
