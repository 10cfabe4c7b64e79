"""How far exported files are from their run: as cells, and as a page."""

from collections.abc import Sequence
from pathlib import Path

from kizu.core.files import write_text
from kizu.pages import render
from kizu.pages.content import Block, Notes, Page, Part, Said, Table
from kizu.release.parity import Agreement, Tolerances

HEAD = (
    "", "images", "score error", "map error", "mask IoU", "at threshold", "flips", "far flips", "not finite",
    "signed", "",
)  # fmt: skip
NOTES = (
    "Errors are the largest of any image, in parts of the threshold or of the true value, whichever is larger.",
    "Flips are images that are decided otherwise than by the run; far flips those whose score is not at the threshold.",
    "Pixels at the threshold are so near to it that rounding decides; they are counted, and not held against a file.",
)


def agreement_cells(agreement: Agreement, tolerances: Tolerances) -> list[str]:
    """One row under `HEAD`."""
    told = "; ".join(agreement.failures(tolerances)) or "agrees"
    if agreement.of_another_size:
        told += f" ({agreement.of_another_size} images of another size left out)"
    if agreement.refused:
        return [agreement.name, *[""] * 8, agreement.signed, told]
    return [
        agreement.name,
        str(agreement.images),
        f"{agreement.score_max_error:.1e}",
        f"{agreement.map_max_error:.1e}",
        f"{agreement.mask_iou:.5f}",
        f"{agreement.pixels_at_threshold} px",
        str(len(agreement.flips)),
        str(agreement.far_flips(tolerances)),
        str(agreement.not_finite),
        agreement.signed,
        told,
    ]


def write_verified_page(path: Path, agreements: Sequence[Agreement], tolerances: Tolerances) -> None:
    """`consistency.html`. Raises `OutputError`."""
    answer = []
    for one in agreements:
        failures = one.failures(tolerances)
        if failures:
            answer.append(Said(f"{one.name} does not decide as the run does: {'; '.join(failures)}.", "bad"))
        else:
            at = f", but for {len(one.flips)} at the threshold" if one.flips else ""
            answer.append(Said(f"{one.name} decides {one.images} images as the run does{at}.", "good"))
    rows = [agreement_cells(one, tolerances) for one in agreements]
    blocks: list[Block] = [Table("In numbers", HEAD, rows), Notes("What they mean", NOTES)]
    flips = [
        [one.name, flip.image, f"{flip.true_score:.6g}", f"{flip.score:.6g}", f"{flip.distance:.1e}"]
        for one in agreements
        for flip in one.flips
    ]
    if flips:
        head = [
            "file",
            "image",
            "score of the run",
            "score of the file",
            "from the threshold, in parts of it",
        ]
        blocks.append(Table("Images that are decided otherwise", head, flips))
    title = "Do the exported files decide as the run does?"
    write_text(path, render(Page(title, (Part(title, answer, blocks),))))
