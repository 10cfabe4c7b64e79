"""Cut samples into parts that share nothing: no group, and no file under two names."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from kizu.core.errors import ConfigError, DataError, LeakageError
from kizu.core.split import Split
from kizu.data.manifest import Manifest, Sample


def hold_out(
    samples: Sequence[Sample], fraction: float, rng: np.random.Generator
) -> tuple[tuple[Sample, ...], tuple[Sample, ...]]:
    """Cut into (fit, calibration) at random, each in the order of `samples`, at least one in each.

    `fraction` of the samples are held out, rounded; fewer where whole groups do not fit. Samples of one group
    stay together, and so do copies of one file (where hashed). Raises `ConfigError` for a fraction that is
    not between 0 and 1, `DataError` when no two samples may be parted.
    """
    if not 0 < fraction < 1:
        raise ConfigError(f"the held-out fraction must lie between 0 and 1, got {fraction}")
    if len(samples) < 2:
        raise DataError(
            f"{len(samples)} image{'' if len(samples) == 1 else 's'} cannot be cut into two parts",
            hint="at least 2 good images are needed; 20 or more are sensible",
        )
    blocks = _inseparable(samples)
    if len(blocks) < 2:
        raise DataError(
            f"all {len(samples)} images belong together (one group, or copies of one file)",
            hint="give at least two groups of images",
        )
    blocks = [blocks[index] for index in rng.permutation(len(blocks))]
    wanted = min(max(1, round(fraction * len(samples))), len(samples) - 1)
    held: set[int] = set()
    for block in blocks:
        if len(held) + len(block) <= wanted:
            held.update(block)
    smallest = min(blocks, key=len)
    held = held or set(smallest)
    fit = tuple(sample for index, sample in enumerate(samples) if index not in held)
    calibration = tuple(samples[index] for index in sorted(held))
    ensure_apart(fit, calibration)
    return fit, calibration


def k_folds(
    samples: Sequence[Sample], k: int, rng: np.random.Generator
) -> list[tuple[tuple[Sample, ...], tuple[Sample, ...]]]:
    """`k` pairs (fit, held), each sample held exactly once; groups and copies of a file stay together.

    Raises `ConfigError` for fewer than two folds, `DataError` for more than there are blocks that may be parted.
    """
    if k < 2:
        raise ConfigError(f"{k} fold(s) leave nothing to fit on", hint="at least 2")
    blocks = _inseparable(samples)
    if len(blocks) < k:
        raise DataError(
            f"{len(blocks)} images or groups cannot be cut into {k} folds",
            hint=f"at most {len(blocks)} folds",
        )
    held: list[set[int]] = [set() for _ in range(k)]
    for index in sorted(rng.permutation(len(blocks)).tolist(), key=lambda i: -len(blocks[i])):
        min(held, key=len).update(blocks[index])
    folds = []
    for members in held:
        fit = tuple(sample for index, sample in enumerate(samples) if index not in members)
        out = tuple(samples[index] for index in sorted(members))
        ensure_apart(fit, out)
        folds.append((fit, out))
    return folds


def with_good_tests(manifest: Manifest, fraction: float, rng: np.random.Generator) -> Manifest:
    """The manifest with a random part of its good training samples moved to the test split.

    The files are hashed first, so that copies of one image cannot be parted. Raises as `hold_out`.
    """
    hashed = manifest.with_hashes()
    _, test = hold_out(hashed.train_good(), fraction, rng)
    chosen = {sample.id for sample in test}
    samples = (replace(s, split=Split.TEST) if s.id in chosen else s for s in hashed.samples)
    return replace(hashed, samples=tuple(samples))


def ensure_apart(one: Iterable[Sample], other: Iterable[Sample]) -> None:
    """Raise `LeakageError` when an id, a group or the content of a file (where hashed) is on both sides."""
    sides = {key: sample for sample in one for key in _ties(sample)}
    for sample in other:
        for key in _ties(sample):
            if key in sides:
                raise LeakageError(
                    f"{sample.id} and {sides[key].id} are on two sides of a split and have the same {key[0]}",
                    hint="remove the copy, or put both on one side",
                )


def _ties(sample: Sample) -> list[tuple[str, str]]:
    """What must not be on two sides."""
    ties = [("id", sample.id)]
    if sample.group is not None:
        ties.append(("group", sample.group))
    if sample.sha256 is not None:
        ties.append(("content", sample.sha256))
    return ties


def blocks_of(samples: Sequence[Sample]) -> list[int]:
    """Of each sample the number of those that it may not be parted from: one group, or copies of one file."""
    numbers = [0] * len(samples)
    for number, block in enumerate(_inseparable(samples)):
        for index in block:
            numbers[index] = number
    return numbers


def _inseparable(samples: Sequence[Sample]) -> list[list[int]]:
    """Indices in the blocks that shared ties join, directly or through others; ordered by first member."""
    block_of = list(range(len(samples)))

    def first(index: int) -> int:
        while block_of[index] != index:
            index = block_of[index]
        return index

    holder: dict[tuple[str, str], int] = {}
    for index, sample in enumerate(samples):
        for tie in _ties(sample):
            one, other = first(index), first(holder.setdefault(tie, index))
            block_of[max(one, other)] = min(one, other)
    blocks: dict[int, list[int]] = {}
    for index in range(len(samples)):
        blocks.setdefault(first(index), []).append(index)
    return list(blocks.values())
