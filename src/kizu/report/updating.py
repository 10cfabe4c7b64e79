"""What a run learned, and what that did to its thresholds: `update.html`."""

from pathlib import Path

from kizu.core.files import write_text
from kizu.lab.update import Updated
from kizu.pages import render
from kizu.pages.content import Block, Notes, Page, Part, Said, Table
from kizu.report.threshold import promise_of

TOLD = 200


def write_update_page(path: Path, done: Updated, reason: str) -> None:
    """Raises `OutputError`."""
    skipped = f"; {len(done.skipped)} were left out" if done.skipped else ""
    answer = [
        Said(f"Version {done.version} learned {len(done.added)} pictures ({reason}){skipped}."),
        Said(
            "Its thresholds rest on the same pictures as before: on parts that look otherwise, such as these, they"
            " promise nothing, and nothing is measured yet. kizu evaluate measures it, kizu rollback takes it back.",
            "open",
        ),
    ]
    rows = [
        [name, f"{before.value:.5g}", f"{now.value:.5g}", promise_of(before), promise_of(now)]
        for name, before, now in (
            ("image", done.before.image, done.thresholds.image),
            ("pixel", done.before.pixel, done.thresholds.pixel),
        )
    ]
    head = ["threshold", "before", "now", "promised at most, before", "now"]
    blocks: list[Block] = [Table("Thresholds", head, rows)]
    if done.skipped:
        blocks.append(Table("Left out", ["picture", "why"], list(map(list, done.skipped.items()))[:TOLD]))
    blocks.append(Notes("Learned", done.added[:TOLD]))
    if len(done.added) > TOLD:
        blocks.append(Notes("", [f"and {len(done.added) - TOLD} more"]))
    title = f"What version {done.version} learned"
    write_text(path, render(Page(title, (Part(title, answer, blocks),))))
