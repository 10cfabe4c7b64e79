"""What each condition costs or wins back against the one it is compared with, and whether chance could have made it.

All comparisons are of the same parts. Tests are made on the first seed; the mean over seeds stands beside them.
p-values hold for all comparisons of one question together (Holm): what one condition does to one metric, over
categories, methods and severities; or which method loses more.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations

import numpy as np

from kizu.metrics.compare import Difference, contrast_aurocs, delong, exchange_verdicts, holm
from kizu.metrics.suite import ROWS
from kizu.metrics.undefined import Undefined
from kizu.study.conditions import CONDITIONS, Key
from kizu.study.record import Record

TESTED = ("image_auroc", "image_f1")
TOLD = ("image_auprc", "image_recall", "image_overkill_rate", "pixel_auroc", "pixel_f1", "aupro_030")
"""Metrics whose mean difference is told, without a test."""
LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class Effect:
    """One condition less the one it is compared with, in one metric."""

    key: Key
    """Of the condition, at the first seed"""
    baseline: str
    metric: str
    mean: float
    """Over seeds"""
    spread: float | None
    """Standard deviation over seeds; None: there is one."""
    seeds: int
    first: Difference | None
    """At the first seed; None: not tested."""
    corrected_p: float | None = None
    why: str = ""
    """Why it was not tested"""

    @property
    def is_found(self) -> bool:
        """Whether chance is ruled out at 5 %, all comparisons of its question together."""
        return self.corrected_p is not None and self.corrected_p < LEVEL

    @property
    def is_better(self) -> bool:
        """Whether the condition is better than what it is compared with."""
        return (self.mean > 0) != ROWS[self.metric].lower_is_better and self.mean != 0


@dataclass(frozen=True, slots=True)
class Contrast:
    """How much more of its image AUROC one method loses to a shift than another."""

    category: str
    severity: int
    first: str
    second: str
    mean: float
    """Over seeds; above 0: the first loses less."""
    difference: Difference | None
    corrected_p: float | None = None
    why: str = ""

    @property
    def is_found(self) -> bool:
        return self.corrected_p is not None and self.corrected_p < LEVEL


@dataclass(frozen=True, slots=True)
class Effects:
    """All that was compared."""

    effects: tuple[Effect, ...]
    contrasts: tuple[Contrast, ...]
    tests: int
    questions: int
    """Each corrected by itself: of so many that chance alone answers, one in twenty would find something."""

    def of(self, condition: str, metric: str, method: str | None = None) -> list[Effect]:
        """Those of one condition and metric."""
        return [
            one
            for one in self.effects
            if one.key.condition == condition and one.metric == metric and method in (None, one.key.method)
        ]


def compare_all(records: Mapping[Key, Record]) -> Effects:
    """Every condition with its baseline, and every two methods in what the shift costs them."""
    effects = list(_effects(records))
    contrasts = list(_contrasts(records))
    questions: dict[str, dict[str, float]] = {}
    for i, one in enumerate(effects):
        if one.first is not None:
            questions.setdefault(f"{one.key.condition} {one.metric}", {})[f"e{i}"] = one.first.p_value
    for i, two in enumerate(contrasts):
        if two.difference is not None:
            questions.setdefault("methods", {})[f"c{i}"] = two.difference.p_value
    corrected = {name: p for asked in questions.values() for name, p in holm(asked).items()}
    return Effects(
        tuple(replace(one, corrected_p=corrected.get(f"e{i}")) for i, one in enumerate(effects)),
        tuple(replace(two, corrected_p=corrected.get(f"c{i}")) for i, two in enumerate(contrasts)),
        len(corrected),
        len(questions),
    )


def _effects(records: Mapping[Key, Record]) -> Iterator[Effect]:
    first_seed = next(iter(records)).seed
    for key in records:
        baseline = CONDITIONS[key.condition].baseline
        if key.seed != first_seed or baseline is None or key.beside(baseline) not in records:
            continue
        pairs = [
            (records[same], records[same.beside(baseline)])
            for same in records
            if replace(same, seed=first_seed) == key and same.beside(baseline) in records
        ]
        for metric in (*TESTED, *TOLD):
            found = _effect(key, baseline, metric, pairs)
            if found is not None:
                yield found


def _effect(key: Key, baseline: str, metric: str, pairs: list[tuple[Record, Record]]) -> Effect | None:
    """None where it could not be measured."""
    values = [(one.metrics.get(metric), other.metrics.get(metric)) for one, other in pairs]
    apart = [one - other for one, other in values if one is not None and other is not None]
    if not apart or len(apart) < len(pairs):
        return None
    test, why = None, "of this metric no test is made"
    if metric in TESTED:
        test, why = _undefined_as_words(partial(_test, metric, *pairs[0]))
    spread = float(np.std(apart, ddof=1)) if len(apart) > 1 else None
    return Effect(key, baseline, metric, float(np.mean(apart)), spread, len(apart), test, why=why)


def _test(metric: str, one: Record, other: Record) -> Difference:
    if metric == "image_f1":
        return exchange_verdicts(one.defective, one.rejected, other.rejected)
    return delong(one.defective, one.raw, other.raw)


def _contrasts(records: Mapping[Key, Record]) -> Iterator[Contrast]:
    first_seed = next(iter(records)).seed
    shifted = [key for key in records if key.condition == "shifted"]
    methods = list(dict.fromkeys(key.method for key in shifted))
    for key in (key for key in shifted if key.seed == first_seed and key.method == methods[0]):
        for pair in combinations(methods, 2):
            by_seed = {
                same.seed: [
                    records[one]
                    for method in pair
                    for one in (replace(same, method=method), replace(same, method=method).beside("clean"))
                ]
                for same in shifted
                if replace(same, seed=first_seed) == key
            }
            if any(record.metrics.get("image_auroc") is None for four in by_seed.values() for record in four):
                continue
            test, why = _undefined_as_words(partial(_contrast, by_seed[first_seed]))
            mean = float(np.mean([_loss(four) for four in by_seed.values()]))
            yield Contrast(key.category, key.severity, *pair, mean, test, why=why)


def _contrast(four: list[Record]) -> Difference:
    return contrast_aurocs(four[0].defective, [one.raw for one in four], (1, -1, -1, 1))


def _loss(four: list[Record]) -> float:
    a, b, c, d = (one.metrics["image_auroc"] or 0.0 for one in four)
    return (a - b) - (c - d)


def _undefined_as_words(test: Callable[[], Difference]) -> tuple[Difference | None, str]:
    try:
        return test(), ""
    except Undefined as error:
        return None, error.message
