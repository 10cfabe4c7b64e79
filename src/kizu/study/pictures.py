"""The pictures of a study: each category clean and shifted, and on which side each picture is, by seed."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kizu.core.errors import DataError
from kizu.core.hashing import hash_value
from kizu.core.randomness import rng_for
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.manifest import Manifest, Sample
from kizu.data.scan import scan_data
from kizu.data.shifted import write_shifted
from kizu.data.shifts.applied import Plan
from kizu.data.splits import hold_out
from kizu.data.study import GOOD_FRACTION, StudySplit, draw_study, read_study, write_study
from kizu.imaging.placement import PlacementConfig
from kizu.lab.grouping import group_good
from kizu.study.conditions import CONDITIONS, Pictures
from kizu.study.config import Category, StudyConfig

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CategoryPictures:
    """One category: the same pictures, by id, clean and shifted."""

    name: str
    clean: Manifest
    shifted: dict[tuple[str, int], Manifest]
    """By shift and severity"""
    left_out: dict[str, str]
    """Why a picture is in none of the sets, by id"""
    unmoved: dict[str, int]
    """How many pictures a shift at a severity could not move, by "shift-severity"."""
    splits: dict[int, StudySplit]
    """By seed"""
    notes: tuple[str, ...]
    """What cannot be computed here"""

    def sha256(self, seed: int) -> str:
        """Of all pictures and of the split."""
        sets = {f"{name}-{severity}": m.content_hash() for (name, severity), m in self.shifted.items()}
        sides = {name: str(side) for name, side in self.splits[seed].sides.items()}
        return hash_value([self.clean.content_hash(), sets, sides])

    def of(self, seed: int, sets: Sequence[tuple[str, int]], side: Split) -> tuple[Sample, ...]:
        """The samples of one side in `sets`, each a shift and a severity, ("", 0) for clean. Of train the good."""
        sides = self.splits[seed].sides
        found = []
        for which in sets:
            manifest = self.clean if which == ("", 0) else self.shifted[which]
            found += [s for s in manifest.samples if sides.get(s.id) == side]
        return tuple(s for s in found if side is not Split.TRAIN or s.label == "good")


def sets_of(config: StudyConfig, pictures: Pictures, severity: int) -> list[tuple[str, int]]:
    """The sets that a word of the table of conditions means."""
    shifted = (config.shift, severity)
    return {
        "clean": [("", 0)],
        "shifted": [shifted],
        "both": [("", 0), shifted],
        "other": [(config.other_shift, severity)],
        "zero": [(config.shift, 0)],
    }[pictures]


def write_pictures(config: StudyConfig, category: Category, folder: Path, work: Work) -> CategoryPictures:
    """Scan, limit, hash and group a category, write it shifted into `folder`/data, and cut it for each seed as
    `folder`/splits says. Raises as `scan_data`, `write_shifted` and `read_study`."""
    manifest = _limit(scan_data(category.data()), category, config.seeds[0]).with_hashes(work)
    manifest = group_good(
        manifest, PlacementConfig(image_size=(config.image_size, config.image_size)), work=work
    )
    shifted: dict[tuple[str, int], Manifest] = {}
    left_out: dict[str, str] = {}
    unmoved: dict[str, int] = {}
    for name, severity in _wanted(config):
        place = folder / "data" / category.name / f"{name}-{severity}"
        found = write_shifted(manifest, Plan(name, severity, config.shift_seed), place, work)
        shifted[name, severity] = found.manifest()
        left_out |= found.broken
        if found.unmoved:
            unmoved[f"{name}-{severity}"] = len(found.unmoved)
    work.note(*(f"{category.name}: {name} is left out everywhere: {why}" for name, why in left_out.items()))
    manifest = _without(manifest, left_out)
    notes = tuple(_lacking(manifest))
    work.note(*(f"{category.name}: {note}" for note in notes))
    splits = {
        seed: _split(folder / "splits" / f"{category.name}-{seed}.json", manifest, seed)
        for seed in config.seeds
    }
    return CategoryPictures(
        category.name,
        manifest,
        {which: _without(one, left_out) for which, one in shifted.items()},
        left_out,
        unmoved,
        splits,
        notes,
    )


def _wanted(config: StudyConfig) -> list[tuple[str, int]]:
    used = [CONDITIONS[name] for name in config.conditions]
    words = {word for one in used for word in (one.fit, one.thresholds, one.met)}
    found: list[tuple[str, int]] = []
    for word in ("zero", "shifted", "other"):
        if word in words or (word == "shifted" and words & {"both", "updated"}):
            for severity in (0,) if word == "zero" else config.severities:
                found += sets_of(config, word, severity)
    return list(dict.fromkeys(found))


def _limit(manifest: Manifest, category: Category, seed: int) -> Manifest:
    """At most as many pictures of each split and kind as the category says, drawn by its name."""
    kept: list[Sample] = []
    for split, most in ((Split.TRAIN, category.most_train), (Split.TEST, category.most_test)):
        of_split = [s for s in manifest.samples if s.split is split]
        for kind in dict.fromkeys(s.defect for s in of_split):
            samples = [s for s in of_split if s.defect == kind]
            kept += _draw(samples, most, rng_for(seed, "limit", category.name, split, kind))
    ids = {s.id for s in kept} | {s.id for s in manifest.samples if s.split is Split.VALIDATION}
    return replace(manifest, samples=manifest.where(lambda s: s.id in ids))


def _draw(samples: Sequence[Sample], most: int | None, rng: np.random.Generator) -> list[Sample]:
    if most is None or len(samples) <= most:
        return list(samples)
    return [samples[index] for index in sorted(rng.choice(len(samples), most, replace=False))]


def _without(manifest: Manifest, left_out: Iterable[str]) -> Manifest:
    gone = set(left_out)
    return replace(manifest, samples=manifest.where(lambda s: s.id not in gone))


def _lacking(manifest: Manifest) -> list[str]:
    """What this category cannot tell, in words."""
    defects = [s for s in manifest.samples if s.label == "defect"]
    if not defects:
        return ["there are no defects: nothing but false alarms can be measured"]
    if not any(s.mask_path for s in defects):
        return ["there are no masks: nothing can be measured on pixels"]
    return []


def _split(path: Path, manifest: Manifest, seed: int) -> StudySplit:
    """As the file says, or drawn now: a fifth of the good training images and three tenths of the defects of each kind
    validate. Pictures that came with a validation split stay there."""
    if not path.exists():
        write_study(path, _draw_split(manifest, seed))
    found = read_study(path)
    found.apply(manifest)  # raises where pictures have changed
    return found


def _draw_split(manifest: Manifest, seed: int) -> StudySplit:
    rng = rng_for(seed, "study")
    try:
        return draw_study(manifest, rng, seed=seed)
    except DataError as error:
        _log.warning("split of good images only category=%s reason=%s", manifest.category, error.message)
    _, held = hold_out(manifest.train_good(), GOOD_FRACTION, rng_for(seed, "study"))
    chosen = {s.id for s in held}
    sides = {
        s.id: Split.VALIDATION if s.id in chosen else s.split for s in manifest.samples if s.split is not None
    }
    return StudySplit(seed, sides, {s.id: (s.sha256, s.mask_sha256) for s in manifest.samples})
