"""Which siblings are found, and which strangers are taken for siblings. Writes the tables of docs/choices.md.

    .venv/bin/python benchmarks/siblings.py [--json benchmarks/results/siblings.json]

Truth. `tile`: file numbers that are at most 60 apart, corrected by looking at the pictures (`_CORRECTED`: two tiles
whose numbers interleave, and tiles whose exposures lie further apart). The other sets: no two pictures show one part.
Each set is looked at with its names, without names, and with numbers dealt out at random. The numbers of the rule were
chosen on the good training pictures; "test good" are others, whose truth is by file numbers alone.
"""

import argparse
import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from fitting import data_set

from kizu.core.hashing import hash_value
from kizu.data.evidence import Seen, Siblings
from kizu.data.siblings import find_siblings
from kizu.data.sightings import see_samples
from kizu.report.tables import text_table

SETS = ("magnetic_tile/tile", "mvtec_ad/hazelnut", "deeppcb/board_92000", "elpv/mono", "elpv/poly")
SUBSETS = (10, 20, 40, 80)
APART = 60
"""Numbers of one series are no further apart from the next."""
_CORRECTED = (
    {6539, 6558, 6571, 6586, 6605, 6634},
    {319420, 319440, 319456, 319469, 319483, 319512},
    {37056, 37071, 37084, 37098, 37262, 37273},
    {1810, 1836, 1855, 1877, 1903, 1965},
    {7871, 7886, 7899, 7911, 7935, 8015},
    {94899, 94922, 94938, 94954, 94986, 95059},
    {246296, 246323, 246338, 246354, 246375, 246442},
    {257273, 257334},
    {257630, 257656, 257678, 257938, 257962},
)
SAME_TILE = ({5874, 5892, 5907, 5924, 5941, 5959}, {13526, 13549, 13568, 13589, 13636, 13689})
"""One tile, photographed in two sessions: the same stain and scratches. File numbers do not show it, so it counts as
neither found nor false."""


def parts_of(name: str, ids: Sequence[str]) -> list[int]:
    """Which part each picture shows."""
    if not name.startswith("magnetic_tile"):
        return list(range(len(ids)))
    numbers = [int(re.findall(r"\d+", one)[-1]) for one in ids]
    labels: dict[int, int] = {}
    label, last = 0, -APART - 1
    for number in sorted(numbers):
        label += number - last > APART
        labels[number], last = label, number
    for label, together in enumerate((*_CORRECTED, set.union(*SAME_TILE)), start=-len(_CORRECTED) - 1):
        labels.update(dict.fromkeys(together & labels.keys(), label))
    return [labels[number] for number in numbers]


def count(found: Siblings, ids: Sequence[str], parts: Sequence[int]) -> dict[str, Any]:
    """Groups that are whole, pairs of their pictures that are together, and pictures that were joined to strangers."""
    part_of = dict(zip(ids, parts, strict=True))
    group_of = {one: found.group_of().get(one, one) for one in ids}
    by_part: dict[int, list[str]] = {}
    for one, part in part_of.items():
        by_part.setdefault(part, []).append(one)
    series = [s for members in by_part.values() for s in _series(members) if len(s) > 1]
    together = [[group_of[a] == group_of[b] for k, a in enumerate(one) for b in one[:k]] for one in series]
    return {
        "pictures": len(ids),
        "true_groups": len(series),
        "whole": sum(map(all, together)),
        "pairs": sum(map(len, together)),
        "pairs_found": sum(map(sum, together)),
        "false_merges": sum(part_of[pair.first] != part_of[pair.second] for pair in found.joined),
        "unsure": len(found.unsure),
        "clues": dict(Counter(pair.clue for pair in found.joined)),
    }


def _series(members: Sequence[str]) -> list[list[str]]:
    """The sessions of one part: only within one do file numbers show that it is one."""
    again = [one for one in members if any(str(number) in one for number in SAME_TILE[1])]
    return [[one for one in members if one not in again], again] if len(again) > 1 else [list(members)]


def renamed(seen: Sequence[Seen], how: str, seed: int = 0) -> tuple[list[Seen], dict[str, str]]:
    """The same pictures under other names, and the old name of each."""
    deal = np.random.default_rng(seed).permutation(len(seen))
    names = {
        "names": [one.name for one in seen],
        "no names": [re.sub(r"\d", "_", hash_value(one.name)) + "x" * k for k, one in enumerate(seen)],
        "shuffled": [f"{number:05}.png" for number in deal],
    }[how]
    return [replace(one, name=name) for one, name in zip(seen, names, strict=True)], {
        name: one.name for one, name in zip(seen, names, strict=True)
    }


def measure(name: str, seen: Sequence[Seen], how: str, part_of: dict[str, int]) -> dict[str, Any]:
    """One set under one kind of names. `part_of`: by id, told from the whole set: parts have gaps."""
    pictures, old = renamed(seen, how)
    start = time.process_time()
    found = find_siblings(pictures)
    seconds = time.process_time() - start
    ids = [old[one.name] for one in pictures]
    counts = count(_under(found, old), ids, [part_of[one] for one in ids])
    return {"set": name, "names": how, "cpu_s": round(seconds, 2), **counts}


def _under(found: Siblings, old: dict[str, str]) -> Siblings:
    return replace(
        found,
        groups=tuple(tuple(old[one] for one in group) for group in found.groups),
        joined=tuple(replace(p, first=old[p.first], second=old[p.second]) for p in found.joined),
    )


def measure_subsets(
    name: str, seen: Sequence[Seen], draws: int, part_of: dict[str, int]
) -> list[dict[str, Any]]:
    """Few pictures, drawn at random: the set looks different then, and designs seem rare."""
    rows = []
    for size in (size for size in SUBSETS if size < len(seen)):
        found = []
        for draw in range(draws):
            chosen = np.random.default_rng([size, draw]).choice(len(seen), size, replace=False)
            found.append(measure(name, [seen[k] for k in sorted(chosen.tolist())], "names", part_of))
        keys = ("true_groups", "whole", "pairs", "pairs_found", "false_merges", "pictures")
        rows.append({"set": name, "size": size, **{key: sum(row[key] for row in found) for key in keys}})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--draws", type=int, default=20)
    options = parser.parse_args()
    whole, few = [], []
    for name in SETS:
        manifest = data_set(name)
        good = [sample for sample in manifest.test() if sample.label == "good"]
        for side, samples in (("", manifest.train_good()), (", test good", good)):
            start = time.process_time()
            seen = see_samples(samples, None)
            reading = round(time.process_time() - start, 2)
            ids = [one.name for one in seen]
            part_of = dict(zip(ids, parts_of(name, ids), strict=True))
            rows = [measure(name, seen, how, part_of) for how in ("names", "no names", "shuffled")]
            whole += [row | {"set": name + side, "read_s": reading} for row in rows]
            if not side:
                few += measure_subsets(name, seen, options.draws, part_of)
        print(name, flush=True)
    counts = ["pictures", "true_groups", "whole", "pairs", "pairs_found", "false_merges"]
    for columns, rows in ((["set", "names", *counts, "unsure"], whole), (["set", "size", *counts], few)):
        print(text_table(columns, [[str(row[key]) for key in columns] for row in rows]))
    if options.json:
        options.json.write_text(json.dumps({"whole": whole, "few": few}, indent=1) + "\n")


if __name__ == "__main__":
    main()
