"""What is wrong with the files of single samples, and with several of them together."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from kizu.core.errors import DataError, ImageError
from kizu.core.hashing import hash_file
from kizu.core.split import Split
from kizu.core.types import HW
from kizu.data.manifest import Sample
from kizu.data.masks import read_masks
from kizu.imaging.codec import decode, image_info, is_flat
from kizu.imaging.scale import Depth, Scale

Severity = Literal["error", "warning"]

FEW_GOOD = 20
"""Fewer good images than this cannot both teach and set a threshold."""
SMALL_PX = 32
"""A side shorter than this leaves a network nothing to look at."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of trouble and the samples that have it."""

    severity: Severity
    """An error stops training or makes its numbers wrong."""
    what: str
    ids: tuple[str, ...]

    def told(self) -> str:
        """In one line."""
        return f"{self.severity}: {self.what} ({len(self.ids)}): {name_some(self.ids)}"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one sample's files are like; None where that could not be found out."""

    sample: Sample
    """With the hash of its image, where it can be read."""
    error: str | None = None
    hw: HW | None = None
    depth: Depth | None = None
    mode: str | None = None
    is_flat: bool = False
    pages: int = 1
    unused_bands: int = 0
    mask_error: str | None = None
    mask_hw: HW | None = None
    flawed_fraction: float = 0.0


Rules = tuple[tuple[Severity, str, Callable[[Finding], bool]], ...]
HEADER_RULES: Rules = (
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
CONTENT_RULES: Rules = (
    ("error", "mask without a flawed pixel", lambda f: f.mask_hw is not None and f.flawed_fraction == 0),
    ("warning", "mask over more than half of the image (inverted?)", lambda f: f.flawed_fraction > 0.5),
    ("error", "all pixels have one value", lambda f: f.is_flat),
)


def find(sample: Sample, scale: Scale | None) -> Finding:
    """From all pixels. `scale`: for those of its depth."""
    try:
        info = image_info(sample.path)
        image = decode(sample.path, scale=scale if scale is not None and scale.depth == info.depth else None)
    except ImageError as error:
        return Finding(sample, error=_reason(error))
    sample = replace(sample, sha256=sample.sha256 or hash_file(sample.path))
    finding = Finding(
        sample,
        hw=info.hw,
        depth=info.depth,
        mode=info.mode,
        is_flat=is_flat(image),
        pages=info.pages,
        unused_bands=info.unused_bands,
    )
    if sample.mask_path is None:
        return finding
    try:
        mask = read_masks(sample)
    except DataError as error:
        return replace(finding, mask_error=_reason(error))
    return replace(finding, mask_hw=(mask.shape[0], mask.shape[1]), flawed_fraction=float(mask.mean()))


def _reason(error: DataError) -> str:
    """The message without the file's name."""
    return error.message.removeprefix(f"{error.path}: ") if isinstance(error, ImageError) else error.message


def look(sample: Sample) -> Finding:
    """From headers alone."""
    try:
        info = image_info(sample.path)
    except ImageError as error:
        return Finding(sample, error=_reason(error))
    finding = Finding(sample, hw=info.hw, mode=info.mode, pages=info.pages, unused_bands=info.unused_bands)
    if sample.mask_path is None:
        return finding
    try:
        sizes = {image_info(path).hw for path in sample.masks}
        return replace(finding, mask_hw=next((hw for hw in sizes if hw != info.hw), info.hw))
    except ImageError as error:
        return replace(finding, mask_error=_reason(error))


def problems_of(findings: Sequence[Finding], rules: Rules) -> list[Problem]:
    """Errors first, each with those that have it."""
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for finding in findings:
        if finding.error is not None:
            by_reason[finding.error].append(finding.sample.id)
        if finding.mask_error is not None:
            by_reason[f"its mask {finding.mask_error}"].append(finding.sample.id)
    found = [Problem("error", reason, tuple(ids)) for reason, ids in by_reason.items()]
    for severity, what, applies in rules:
        found.append(Problem(severity, what, tuple(f.sample.id for f in findings if applies(f))))
    found += [_mixed_depths(findings), _mixed_colours(findings), *_copies(findings)]
    found += _scarcities([finding.sample for finding in findings])
    return sorted((p for p in found if p.ids), key=lambda problem: problem.severity)


def _mixed_depths(findings: Sequence[Finding]) -> Problem:
    """Of the good ones to learn from the most frequent depth is the right one."""
    good = [f.depth for f in findings if f.sample.split in (Split.TRAIN, None) and f.sample.label == "good"]
    most = Counter(depth for depth in good if depth is not None).most_common(1)
    other = [f.sample.id for f in findings if most and f.depth not in (None, most[0][0])]
    return Problem("error", "numbers of another depth than most good images have", tuple(other))


def _mixed_colours(findings: Sequence[Finding]) -> Problem:
    """By what files of 8 bits say; a palette says neither, and of other depths is told already."""
    kinds = {f.sample.id: _kind_of(f.mode) for f in findings}
    good = [
        kinds[f.sample.id]
        for f in findings
        if f.sample.split in (Split.TRAIN, None) and f.sample.label == "good"
    ]
    most = Counter(kind for kind in good if kind is not None).most_common(1)
    usual = most[0][0] if most else None
    other = [name for name, kind in kinds.items() if usual is not None and kind not in (None, usual)]
    unusual = "in colour" if usual == "in grey" else "in grey"
    return Problem("warning", f"saved {unusual}, where most good images are saved {usual}", tuple(other))


def _kind_of(mode: str | None) -> str | None:
    if mode is None or mode.startswith(("P", "I", "F")):
        return None
    return "in grey" if mode in ("1", "L", "LA", "La") else "in colour"


def _copies(findings: Sequence[Finding]) -> list[Problem]:
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


def name_some(ids: Sequence[str], shown: int = 3) -> str:
    """The first few, and how many more there are."""
    rest = len(ids) - shown
    return ", ".join(ids[:shown]) + (f" and {rest} more" if rest > 0 else "")
