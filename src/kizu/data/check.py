"""Look a data set over before anything is fitted to it: what there is, and what is wrong with it."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kizu.core.errors import ImageError
from kizu.core.split import Split
from kizu.core.text import one_line
from kizu.core.threads import in_order
from kizu.core.work import Work
from kizu.data.depth import scale_of
from kizu.data.kinship import Kinship, find_kinship
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.data.problems import (
    CONTENT_RULES,
    HEADER_RULES,
    Finding,
    Problem,
    find,
    look,
    problems_of,
)
from kizu.imaging.scale import Scale


@dataclass(frozen=True, slots=True)
class Count:
    """Samples of one split and kind."""

    split: str
    kind: str
    images: int
    masks: int


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What a data set consists of and suffers from."""

    dataset: str
    category: str
    counts: tuple[Count, ...]
    sizes: dict[str, int]
    """Images by "H x W", the most frequent first."""
    modes: dict[str, int]
    """Images by Pillow's name of their pixels."""
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    kinship: Kinship
    """Which images show one part."""

    @property
    def has_errors(self) -> bool:
        """Whether training would stop or measure something wrong."""
        return any(problem.severity == "error" for problem in self.problems)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "dataset": self.dataset,
            "category": self.category,
            "counts": [
                {"split": c.split, "kind": c.kind, "images": c.images, "masks": c.masks} for c in self.counts
            ],
            "sizes": self.sizes,
            "modes": self.modes,
            "problems": [{"severity": p.severity, "what": p.what, "ids": list(p.ids)} for p in self.problems],
            "notes": list(self.notes),
            **self.kinship.as_json(),
        }

    def as_text(self) -> str:
        """For people."""
        lines = [one_line(f"{self.dataset} / {self.category}"), ""]
        width = max([len(count.kind) for count in self.counts], default=0)
        lines += [
            one_line(
                f"  {c.split:<12}{c.kind:<{width}}  {c.images:>6} images"
                + (f", {c.masks} masks" if c.masks else "")
            )
            for c in self.counts
        ]
        lines += ["", f"  sizes (H x W): {_most(self.sizes)}", f"  pixels: {_most(self.modes)}"]
        lines += ["", *(one_line(f"  note: {note}") for note in self.notes)] if self.notes else []
        lines += ["", *(one_line(f"  {p.told()}") for p in self.problems)]
        return "\n".join(lines if self.problems else [*lines, "  no problems found"])


def check(manifest: Manifest, work: Work = Work()) -> CheckReport:
    """Decode every image and mask. Raises nothing: what is wrong is reported."""
    findings = []
    workers = work.core_count
    scale, told = _scale(manifest)

    def look_at(sample: Sample) -> Finding:
        return find(sample, scale)

    for _, finding in in_order(look_at, manifest.samples, workers=workers, ahead=4 * workers):
        findings.append(finding)
        work.report("images", len(findings), len(manifest))
    sizes = Counter(f"{f.hw[0]} x {f.hw[1]}" for f in findings if f.hw is not None)
    modes = Counter(f.mode for f in findings if f.mode is not None)
    kinship = find_kinship(manifest, scale, work)
    found = [*problems_of(findings, (*HEADER_RULES, *CONTENT_RULES)), *kinship.problems()]
    return CheckReport(
        dataset=manifest.dataset,
        category=manifest.category,
        counts=_counts(manifest.samples),
        sizes=dict(sizes.most_common()),
        modes=dict(modes.most_common()),
        problems=tuple(sorted(found, key=lambda problem: problem.severity)),
        notes=(*manifest.notes, *told, *kinship.notes()),
        kinship=kinship,
    )


def _scale(manifest: Manifest) -> tuple[Scale | None, tuple[str, ...]]:
    """What a fit would choose for numbers deeper than 8 bits, and the words for it; nothing where they are mixed."""
    try:
        chosen = scale_of(manifest.train_good() or manifest.samples)
    except ImageError:
        return None, ()
    return (None, ()) if chosen is None else (chosen.scale, (f"a fit would scale {chosen}",))


def first_look(manifest: Manifest, work: Work = Work()) -> tuple[Problem, ...]:
    """What `check` would say of a hashed manifest, but for what only decoding shows: quick, for before a fit."""
    workers = work.core_count
    found = in_order(look, manifest.samples, workers=workers, ahead=4 * workers)
    return tuple(problems_of([finding for _, finding in found], HEADER_RULES))


def by_kind(samples: Iterable[Sample]) -> dict[tuple[str, str], list[Sample]]:
    """By split in the order of learning, then by kind, good first; in each the order of the manifest."""
    kinds: defaultdict[tuple[str, str], list[Sample]] = defaultdict(list)
    for sample in samples:
        kinds[sample.split or "-", sample.defect].append(sample)
    order = ["-", *Split]
    return dict(
        sorted(kinds.items(), key=lambda item: (order.index(item[0][0]), item[0][1] != GOOD, item[0][1]))
    )


def _counts(samples: Iterable[Sample]) -> tuple[Count, ...]:
    return tuple(
        Count(split, kind, len(members), sum(sample.mask_path is not None for sample in members))
        for (split, kind), members in by_kind(samples).items()
    )


def _most(counts: dict[str, int], shown: int = 4) -> str:
    """The most frequent few: "512 x 512 (40), 512 x 522 (1)"."""
    text = ", ".join(f"{name} ({count})" for name, count in list(counts.items())[:shown]) or "none"
    rest = len(counts) - shown
    return text + (f" and {rest} more" if rest > 0 else "")
