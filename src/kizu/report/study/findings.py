"""Sentences that state a finding, each chosen by the tests behind it and never by a look at the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from kizu.study.effects import Effect, Effects

Verdict = Literal[
    "confirmed",
    "shown in part",
    "contradicted",
    "contradicted in part",
    "mixed",
    "not settled",
    "counted, not tested",
]
AUROC, F1 = "image_auroc", "image_f1"
LOSS = 0.02
"""A loss of less is not one that a part of could be won back."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the tests say of one statement."""

    statement: str
    verdict: Verdict
    evidence: str

    def told(self) -> str:
        """A sentence."""
        return f"{self.statement}: {self.verdict}. {self.evidence}"


def judge(ups: int, downs: int, settings: int) -> Verdict:
    """Of results beyond chance for and against, in so many settings: whole where they are half of them or more."""
    if ups and downs:
        return "mixed"
    if ups:
        return "confirmed" if 2 * ups >= settings else "shown in part"
    if downs:
        return "contradicted" if 2 * downs >= settings else "contradicted in part"
    return "not settled"


def tell_loss(effects: Effects, method: str) -> str:
    """What the shift costs a method that is not adapted."""
    found = effects.of("shifted", AUROC, method)
    if not found:
        return f"{method}: image AUROC could not be compared."
    worse, better = _beyond(found)
    means = [one.mean for one in found]
    text = (
        f"{method}: image AUROC changes by {np.mean(means):+.3f} on average over {len(found)} settings (category"
        f" and severity; from {min(means):+.3f} to {max(means):+.3f}). "
    )
    if worse and not better:
        return text + f"The loss is beyond chance in {worse} of them."
    if worse:
        return text + f"It is a loss beyond chance in {worse} of them, and a gain in {better}."
    if better:
        return text + f"No loss is beyond chance; in {better} it is a gain that is."
    return text + "None of it is beyond chance, so no loss is shown, which does not say that there is none."


def patterns(effects: Effects, keeps: str = "patchcore", loses: str = "padim") -> list[Finding]:
    """The published pattern, statement by statement. `keeps`, `loses`: names of methods; without both the first
    statement is left out."""
    found = [_keeps_more(effects, keeps, loses), _thresholds(effects), _refitting(effects), _most(effects)]
    found += [_cross(effects), _one_model(effects)]
    return [one for one in found if one is not None]


def _keeps_more(effects: Effects, keeps: str, loses: str) -> Finding | None:
    signs = []
    for one in effects.contrasts:
        if {one.first, one.second} == {keeps, loses}:
            sign = 1 if one.first == keeps else -1
            signs.append((sign * one.mean, one.is_found))
    if not signs:
        return None
    ups = sum(is_found and value > 0 for value, is_found in signs)
    downs = sum(is_found and value < 0 for value, is_found in signs)
    mean = float(np.mean([value for value, _ in signs]))
    return Finding(
        f"{keeps} keeps more of its image AUROC under the shift than {loses}",
        judge(ups, downs, len(signs)),
        f"It keeps {mean:+.3f} more on average over {len(signs)} settings; beyond chance {keeps} keeps more in"
        f" {ups} and {loses} in {downs}.",
    )


def _thresholds(effects: Effects) -> Finding | None:
    f1, auroc = effects.of("thresholds", F1), effects.of("thresholds", AUROC)
    if not f1:
        return None
    downs, ups = _beyond(f1)
    same = all(one.mean == 0 for one in auroc)
    return Finding(
        "Thresholds set anew on shifted images win back F1, and cannot win back AUROC",
        judge(ups, downs, len(f1)) if same else "contradicted",
        f"F1 changes by {_mean(f1):+.3f} on average over {len(f1)} settings, beyond chance up in {ups} and down in"
        f" {downs}; image AUROC stays the same to the last digit in {'all' if same else 'not all'} of them.",
    )


def _refitting(effects: Effects) -> Finding | None:
    found = effects.of("refitted", AUROC)
    if not found:
        return None
    downs, ups = _beyond(found)
    return Finding(
        "Refitting on shifted images wins back image AUROC",
        judge(ups, downs, len(found)),
        f"It changes by {_mean(found):+.3f} on average over {len(found)} settings, beyond chance up in {ups} and"
        f" down in {downs}{_share(effects, found)}.",
    )


def _most(effects: Effects) -> Finding | None:
    """Which adaptation has the highest gain where something was lost: a count, for no test ranks more than two."""
    ways = [name for name in ("thresholds", "updated", "refitted", "joint") if effects.of(name, AUROC)]
    wins = dict.fromkeys(ways, 0)
    lost = [one for one in effects.of("shifted", AUROC) if one.mean <= -LOSS]
    for one in lost:
        gains = {name: _gain(effects, name, one) for name in ways}
        best = max(gains, key=lambda name: gains[name])
        wins[best] += gains[best] > 0
    if not lost or len(ways) < 2:
        return None
    told = ", ".join(f"{name} in {count}" for name, count in wins.items())
    return Finding(
        "Which way to adapt wins back most",
        "counted, not tested",
        f"Where at least {LOSS} of image AUROC was lost ({len(lost)} settings) the highest gain is that of: {told}.",
    )


def _cross(effects: Effects) -> Finding | None:
    found = effects.of("cross", AUROC)
    if not found:
        return None
    downs, ups = _beyond(found)
    return Finding(
        "What was refitted on one shift is worse on another",
        judge(downs, ups, len(found)),
        f"Image AUROC is {_mean(found):+.3f} on average over {len(found)} settings against the shift it was fitted"
        f" on, beyond chance lower in {downs} and higher in {ups}.",
    )


def _one_model(effects: Effects) -> Finding | None:
    found, pooled = effects.of("global", AUROC), effects.of("global_pooled", F1)
    if not found:
        return None
    downs, ups = _beyond(found)
    pooled_downs, pooled_ups = _beyond(pooled)
    return Finding(
        "One model of all categories is worse than one for each",
        judge(downs, ups, len(found)),
        f"Image AUROC changes by {_mean(found):+.3f} on average over {len(found)} settings, beyond chance down in"
        f" {downs} and up in {ups}. One threshold for all in place of one for each changes F1 by"
        f" {_mean(pooled):+.3f}, beyond chance down in {pooled_downs} and up in {pooled_ups} of {len(pooled)}.",
    )


def tell_updates(effects: Effects) -> list[str]:
    """How much of what refitting wins back a few images do, by their number."""
    found = effects.of("updated", AUROC)
    told = []
    for count in sorted({one.key.count for one in found}):
        own = [one for one in found if one.key.count == count]
        downs, ups = _beyond(own)
        text = (
            f"{count} shifted images learned by an update change image AUROC by {_mean(own):+.3f} on average over"
            f" {len(own)} settings, beyond chance up in {ups} and down in {downs}"
        )
        told.append(text + _share(effects, own) + ".")
    return told


def _share(effects: Effects, found: Sequence[Effect]) -> str:
    """Which part of the loss is won back, where there is a loss to speak of."""
    losses = {
        (one.key.category, one.key.method, one.key.severity): -one.mean
        for one in effects.of("shifted", AUROC)
        if one.mean <= -LOSS
    }
    pairs = [
        (one.mean, losses[at])
        for one in found
        if (at := (one.key.category, one.key.method, one.key.severity)) in losses
    ]
    if not pairs:
        return ""
    gain, loss = (sum(column) for column in zip(*pairs, strict=True))
    return f"; {gain / loss:.0%} of what was lost in the {len(pairs)} settings that lost {LOSS} or more"


def _gain(effects: Effects, condition: str, at: Effect) -> float:
    gains = [
        one.mean
        for one in effects.of(condition, AUROC, at.key.method)
        if (one.key.category, one.key.severity) == (at.key.category, at.key.severity)
    ]
    return max(gains, default=0.0)


def _beyond(found: Sequence[Effect]) -> tuple[int, int]:
    """How many are beyond chance worse, and better."""
    return (
        sum(one.is_found and one.mean < 0 for one in found),
        sum(one.is_found and one.mean > 0 for one in found),
    )


def _mean(found: Sequence[Effect]) -> float:
    return float(np.mean([one.mean for one in found])) if found else 0.0
