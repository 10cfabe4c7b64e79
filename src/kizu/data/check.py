"""Look a data set over before anything is fitted to it: what there is, and what is wrong with it."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from kizu.core.errors import ImageError
from kizu.core.hashing import hash_file
from kizu.core.split import Split
from kizu.core.text import one_line
from kizu.core.threads import in_order
from kizu.core.types import HW
from kizu.core.work import Work
from kizu.data.manifest import GOOD, Manifest, Sample
from kizu.imaging.codec import decode, decode_mask, image_info, is_flat

Severity = Literal["error", "warning"]

FEW_GOOD = 20
"""Fewer good images than this cannot both teach and set a threshold."""
SMALL_PX = 32
"""A side shorter than this leaves a network nothing to look at."""
_DARK_16_BIT = 64
"""High bytes below this: a 10, 12 or 14 bit camera wrote into 16 bits without scaling."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of trouble and the samples that have it."""

    severity: Severity
    """An error stops training or makes its numbers wrong."""
    what: str
    ids: tuple[str, ...]

    def told(self) -> str:
        """In one line."""
        return f"{self.severity}: {self.what} ({len(self.ids)}): {_some(self.ids)}"


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


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one sample's files are like; None where that could not be found out."""

    sample: Sample
    """With the hash of its image, where it can be read."""
    error: str | None = None
    hw: HW | None = None
    mode: str | None = None
    brightest: int = 0
    is_flat: bool = False
    pages: int = 1
    unused_bands: int = 0
    mask_error: str | None = None
    mask_hw: HW | None = None
    flawed_fraction: float = 0.0


_Rules = tuple[tuple[Severity, str, Callable[[_Finding], bool]], ...]
_HEADER_RULES: _Rules = (
    (
        "error",
        "mask of another size than its image",
        lambda f: None not in (f.hw, f.mask_hw) and f.mask_hw != f.hw,
    ),
    ("warning", f"side shorter than {SMALL_PX} px", lambda f: f.hw is not None and min(f.hw) < SMALL_PX),
    ("warning", "further pages in the file, of which only the first is looked at", lambda f: f.pages > 1),
    (
        "warning",
        "more channels than colours in the file: the further channels are not looked at",
        lambda f: f.unused_bands > 0,
    ),
)
_CONTENT_RULES: _Rules = (
    ("error", "mask without a flawed pixel", lambda f: f.mask_hw is not None and f.flawed_fraction == 0),
    ("warning", "mask over more than half of the image (inverted?)", lambda f: f.flawed_fraction > 0.5),
    ("error", "all pixels have one value", lambda f: f.is_flat),
    (
        "warning",
        "16-bit file with the lowest bits in use only: nearly black; scale all images by one factor",
        lambda f: f.mode is not None and f.mode.startswith("I;16") and f.brightest < _DARK_16_BIT,
    ),
)


def check(manifest: Manifest, work: Work = Work()) -> CheckReport:
    """Decode every image and mask. Raises nothing: what is wrong is reported."""
    findings = []
    workers = work.core_count
    for _, finding in in_order(_find, manifest.samples, workers=workers, ahead=4 * workers):
        findings.append(finding)
        work.report("images", len(findings), len(manifest))
    sizes = Counter(f"{f.hw[0]} x {f.hw[1]}" for f in findings if f.hw is not None)
    modes = Counter(f.mode for f in findings if f.mode is not None)
    return CheckReport(
        dataset=manifest.dataset,
        category=manifest.category,
        counts=_counts(manifest.samples),
        sizes=dict(sizes.most_common()),
        modes=dict(modes.most_common()),
        problems=tuple(_problems(findings, (*_HEADER_RULES, *_CONTENT_RULES))),
        notes=manifest.notes,
    )


def _find(sample: Sample) -> _Finding:
    try:
        info, image = image_info(sample.path), decode(sample.path)
    except ImageError as error:
        return _Finding(sample, error=_reason(error))
    sample = replace(sample, sha256=sample.sha256 or hash_file(sample.path))
    finding = _Finding(
        sample,
        hw=info.hw,
        mode=info.mode,
        brightest=int(image.max()),
        is_flat=is_flat(image),
        pages=info.pages,
        unused_bands=info.unused_bands,
    )
    if sample.mask_path is None:
        return finding
    try:
        mask = decode_mask(sample.mask_path)
    except ImageError as error:
        return replace(finding, mask_error=_reason(error))
    return replace(finding, mask_hw=(mask.shape[0], mask.shape[1]), flawed_fraction=float(mask.mean()))


def _reason(error: ImageError) -> str:
    """The message without the file's name."""
    return error.message.removeprefix(f"{error.path}: ")


def first_look(manifest: Manifest, work: Work = Work()) -> tuple[Problem, ...]:
    """What `check` would say of a hashed manifest, but for what only decoding shows: quick, for before a fit."""
    workers = work.core_count
    found = in_order(_look, manifest.samples, workers=workers, ahead=4 * workers)
    return tuple(_problems([finding for _, finding in found], _HEADER_RULES))


def _look(sample: Sample) -> _Finding:
    """From headers alone."""
    try:
        info = image_info(sample.path)
    except ImageError as error:
        return _Finding(sample, error=_reason(error))
    finding = _Finding(sample, hw=info.hw, mode=info.mode, pages=info.pages, unused_bands=info.unused_bands)
    if sample.mask_path is None:
        return finding
    try:
        return replace(finding, mask_hw=image_info(sample.mask_path).hw)
    except ImageError as error:
        return replace(finding, mask_error=_reason(error))


def _problems(findings: Sequence[_Finding], rules: _Rules) -> list[Problem]:
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.error is not None:
            by_reason[finding.error].append(finding.sample.id)
        if finding.mask_error is not None:
            by_reason[f"its mask {finding.mask_error}"].append(finding.sample.id)
    found = [Problem("error", reason, tuple(ids)) for reason, ids in by_reason.items()]
    for severity, what, applies in rules:
        found.append(Problem(severity, what, tuple(f.sample.id for f in findings if applies(f))))
    found += _copies(findings)
    found += _scarcities([finding.sample for finding in findings])
    return sorted((p for p in found if p.ids), key=lambda problem: problem.severity)


def _copies(findings: Sequence[_Finding]) -> list[Problem]:
    by_content: defaultdict[str, list[Sample]] = defaultdict(list)
    for finding in findings:
        if finding.sample.sha256 is not None:
            by_content[finding.sample.sha256].append(finding.sample)
    across: list[str] = []
    within: list[str] = []
    for samples in by_content.values():
        if len(samples) > 1:
            splits = {sample.split for sample in samples}
            (across if len(splits) > 1 else within).extend(sample.id for sample in samples)
    return [
        Problem("error", "same file in two splits (leakage)", tuple(across)),
        Problem("warning", "same file more than once in a split", tuple(within)),
    ]


def _scarcities(samples: Sequence[Sample]) -> list[Problem]:
    good = [s.id for s in samples if s.split == Split.TRAIN and s.label == "good"]
    defective = [s for s in samples if s.label == "defect"]
    unmasked = [s.id for s in defective if s.mask_path is None]
    few = len(good) < FEW_GOOD
    some_masks = len(unmasked) < len(defective)
    return [
        Problem("warning", f"fewer than {FEW_GOOD} good images to learn from", tuple(good if few else ())),
        Problem(
            "warning",
            "defect without a mask" if some_masks else "no defect has a mask, so pixels cannot be measured",
            tuple(unmasked),
        ),
    ]


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


def _some(ids: Sequence[str], shown: int = 3) -> str:
    rest = len(ids) - shown
    return ", ".join(ids[:shown]) + (f" and {rest} more" if rest > 0 else "")
