"""Which images of a data set show one part, and which of them lie on two sides of its split."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from kizu.core.work import Work
from kizu.data.evidence import Pair, Siblings
from kizu.data.manifest import Manifest
from kizu.data.problems import Problem, name_some
from kizu.data.siblings import SURE, find_siblings
from kizu.data.sightings import see_samples
from kizu.imaging.scale import Scale

_NAMED = 3
"""Pairs that are named in a note."""


@dataclass(frozen=True, slots=True)
class Kinship:
    """What was found among all images of a data set, good and defective."""

    siblings: Siblings
    splits: dict[str, str]
    """Name of the split by id"""

    @property
    def across(self) -> tuple[Pair, ...]:
        """Pairs of one group in two splits, the closest first."""
        return self.between(self.splits)

    def between(self, sides: dict[str, str]) -> tuple[Pair, ...]:
        """Pairs of one group on two of `sides` (by id; others have none), the closest first."""
        found = (
            pair
            for pair in self.siblings.joined
            if pair.first in sides and pair.second in sides and sides[pair.first] != sides[pair.second]
        )
        return tuple(sorted(found, key=lambda pair: (-pair.fine, pair.first, pair.second)))

    def problems(self) -> list[Problem]:
        """Siblings on two sides: what is measured on one of them was learned from the other."""
        pairs = self.across
        if not pairs:
            return []
        told = tuple(pair.told() for pair in pairs)
        return [Problem("warning", "pairs of images show one part in two splits (leakage)", told)]

    def notes(self) -> tuple[str, ...]:
        """How many groups, and what could not be told."""
        found, told = self.siblings, []
        if found.common >= SURE:
            told.append(
                f"any two images share {found.common:.0%} of their fine detail, as those of one part do: then no"
                " promise holds for other parts"
            )
        if found.groups:
            sizes = Counter(map(len, found.groups))
            by_size = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items(), reverse=True))
            told.append(f"images that show one part: {by_size}; train keeps each such group on one side")
        if found.unsure:
            closest = sorted(found.unsure, key=lambda pair: (-pair.fine, pair.first, pair.second))
            named = name_some([f"{pair.first} and {pair.second}" for pair in closest], _NAMED)
            told.append(
                f"{len(found.unsure)} pairs are as alike as parts of one design, or as one part seen twice: which, no"
                f" picture tells, and train parts them; --group keeps what its expression names together ({named})"
            )
        return tuple(told)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "groups": [list(group) for group in self.siblings.groups],
            "siblings": [_row(pair) for pair in self.siblings.joined],
            "siblings_across_splits": [_row(pair) for pair in self.across],
            "unsure": [_row(pair) for pair in self.siblings.unsure],
        }


def find_kinship(manifest: Manifest, scale: Scale | None, work: Work = Work()) -> Kinship:
    """Compare all images that can be read. Of several categories each is a set of its own."""
    found = Siblings((), (), ())
    for part in [manifest.part(name) for name in manifest.parts] or [manifest]:
        one = find_siblings(see_samples(part.samples, scale, work), work=work)
        found = replace(
            found,
            groups=found.groups + one.groups,
            joined=found.joined + one.joined,
            unsure=found.unsure + one.unsure,
            common=max(found.common, one.common),
        )
    return Kinship(found, {sample.id: sample.split or "-" for sample in manifest.samples})


def _row(pair: Pair) -> dict[str, Any]:
    return {
        "first": pair.first,
        "second": pair.second,
        "clue": pair.clue,
        "fine_fraction": round(pair.fine, 4),
        "outline_fraction": round(pair.outline, 4),
        "hash_bits": pair.hash_bits,
        "numbers_apart": pair.apart,
        "seconds_apart": pair.seconds,
    }
