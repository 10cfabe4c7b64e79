"""Two runs side by side: a table, what differs by more than chance, and the pictures to see it in.

<output_dir>/comparison.html                                      to look at
<output_dir>/comparison_table.md, comparison_report.json, sample_visualizations.md
<output_dir>/comparison_samples/<model>/<group>-<image>.jpg       each run's overlays
<output_dir>/comparison_grids/<group>-<image>.jpg                 picture, first, second
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from kizu.core.files import write_json, write_text
from kizu.core.provenance import utc_now
from kizu.core.types import U8
from kizu.data.manifest import Sample
from kizu.data.masks import true_mask
from kizu.imaging.codec import decode, encode_jpeg
from kizu.imaging.overlay import TRUE, contact_sheet, draw_contours
from kizu.inspection.journal import lines_of
from kizu.inspection.records import Prediction
from kizu.lab.measured_set import read_own_manifest
from kizu.metrics.suite import ROWS
from kizu.pages import render
from kizu.pages.content import Block, Facts, Notes, Page, Part, Pictures, Said, Table
from kizu.protocol.compare import RunComparison
from kizu.report.choosing import Chosen, choose_samples
from kizu.report.tables import number
from kizu.runs.folder import RunFolder

TILE_PX = 320
CHANCE = 0.05
"""A p-value below it counts as more than chance."""


def write_comparison(output_dir: Path, found: RunComparison) -> Chosen | None:
    """All of it; without overlays the table and the report alone, which say what is missing.

    Returns the images that are shown. Raises `OutputError` when the folder cannot be written.
    """
    table = _table(found)
    shown: dict[str, list[str]] = {}
    known = [_read_predicted(folder.predictions_dir / "preds.jsonl") for folder in found.folders]
    samples = [
        sample
        for sample in read_own_manifest(found.folders[0]).test()
        if all(str(sample.path) in records for records in known)
    ]
    chosen = choose_samples(samples) if samples else None
    if chosen is not None:
        shown = _write_pictures(output_dir, found, chosen, known)
        write_text(output_dir / "sample_visualizations.md", _visualizations(found, chosen, shown))
    write_text(output_dir / "comparison.html", render(comparison_page(found, list(shown))))
    write_text(output_dir / "comparison_table.md", table)
    write_json(output_dir / "comparison_report.json", _report(found, chosen))
    return chosen


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a run's picture of an image says and where it is."""

    overlay: Path
    told: str


def _read_predicted(path: Path) -> dict[str, _Shown]:
    """The images that have an overlay, by their path."""
    records = lines_of(path) if path.is_file() else ()
    return {
        record.image_path: _Shown(Path(record.overlay_path), f"{record.label} {record.pred_score:.4g}")
        for record in records
        if isinstance(record, Prediction) and record.overlay_path and Path(record.overlay_path).is_file()
    }


def _write_pictures(
    output_dir: Path, found: RunComparison, chosen: Chosen, known: list[dict[str, _Shown]]
) -> dict[str, list[str]]:
    """Writes samples and grids; a caption for each grid, by its name."""
    captions = {}
    for group, samples in chosen.groups.items():
        for sample in samples:
            name = f"{group}-{sample.id.replace('/', '_').rsplit('.', 1)[0]}.jpg"
            shown = [records[str(sample.path)] for records in known]
            overlays = [decode(one.overlay) for one in shown]
            for model, overlay in zip(found.names, overlays, strict=True):
                encode_jpeg(output_dir / "comparison_samples" / model / name, overlay)
            told = [f"{model}: {one.told}" for model, one in zip(found.names, shown, strict=True)]
            sheet = contact_sheet(
                [_original(sample), *overlays], 3, [f"{sample.defect} ({group})", *told], tile_px=TILE_PX
            )
            encode_jpeg(output_dir / "comparison_grids" / name, sheet)
            captions[name] = told
    return captions


def _original(sample: Sample) -> U8:
    """With the outline of the true flaw."""
    image = decode(sample.path)
    mask = true_mask(sample, (image.shape[0], image.shape[1]))
    return image if mask is None or not mask.any() else draw_contours(image, mask, TRUE)


def _visualizations(found: RunComparison, chosen: Chosen, captions: dict[str, list[str]]) -> str:
    text = [f"# {found.names[0]} and {found.names[1]}, image by image", ""]
    if chosen.borders is not None:
        low, high = chosen.borders
        text += [f"Mild: up to {low:.2%} of the image is flawed; medium: up to {high:.2%}; severe: more.", ""]
    text += ["From left: the image with the true flaw in yellow, then each run's overlay.", ""]
    for name, told in captions.items():
        text += [
            f"## {name.removesuffix('.jpg')}",
            "",
            "; ".join(told),
            "",
            f"![{name}](comparison_grids/{name})",
            "",
        ]
    return "\n".join(text)


METRIC_HEAD = ("metric", "", "", "difference", "better")
DIFFERENCE_HEAD = ("metric", "difference", "95 % interval", "p", "test")


def metric_cells(found: RunComparison) -> list[list[str]]:
    """Each metric: of the first, of the second, their difference, the better one."""
    a, b = found.names
    rows = []
    for row in found.rows:
        known = row.first is not None and row.second is not None
        apart = f"{row.first - row.second:+.4f}" if known else "-"  # type: ignore[operator]
        rows.append(
            [row.name, number(row.first), number(row.second), apart, {"a": a, "b": b, "": ""}[row.better]]
        )
    return rows


def difference_cells(found: RunComparison) -> list[list[str]]:
    """What differs on the images that both have scored."""
    rows = []
    for key, d in found.differences.items():
        interval = "-" if d.low is None or d.high is None else f"{d.low:+.4f} to {d.high:+.4f}"
        rows.append([key, f"{d.value:+.4f}", interval, f"{d.p_value:.3g}", d.method])
    return rows


def comparison_page(found: RunComparison, pictures: Sequence[str]) -> Page:
    """`comparison.html`. `pictures`: names of the grids, with their captions."""
    a, b = found.names
    answer = [Said(_told_difference(found, key)) for key in found.differences]
    if not answer:
        answer = [Said(f"{a} and {b} cannot be compared picture by picture.", "open")]
    if found.differences:
        answer.append(Said(f"Their verdicts differ on {len(found.disagree)} of {found.shared} pictures."))
    head = [*METRIC_HEAD[:1], a, b, *METRIC_HEAD[3:]]
    rows = [[_title(row[0]), *row[1:]] for row in metric_cells(found) if row[1] != "-" or row[2] != "-"]
    blocks: list[Block] = []
    if found.differences:
        differing = [[_title(row[0]), *row[1:]] for row in difference_cells(found)]
        note = f"{a} minus {b}, on the {found.shared} pictures that both have scored; p corrected (Holm)."
        blocks.append(Table("More than chance?", DIFFERENCE_HEAD, differing, note))
    if pictures:
        items = [(f"comparison_grids/{quote(name)}", name.removesuffix(".jpg")) for name in pictures]
        blocks.append(Pictures("Picture with the true flaw, first, second", items))
    if rows:
        blocks.append(Table("All numbers", head, rows))
    folders = zip(found.names, found.folders, strict=True)
    seconds = [(f"Fit and calibration, {name}", _seconds(folder)) for name, folder in folders]
    blocks.append(Facts("Time", seconds))
    if found.missing:
        blocks.append(Notes("What is missing", found.missing))
    title = f"{a} and {b}"
    return Page(title, (Part(title, answer, blocks),))


def _title(key: str) -> str:
    return ROWS[key].title if key in ROWS else key


def _told_difference(found: RunComparison, key: str) -> str:
    a, b = found.names
    one, title = found.differences[key], _title(key)
    within = (
        "" if one.low is None or one.high is None else f"; 95 % interval {one.low:+.3f} to {one.high:+.3f}"
    )
    if one.p_value >= CHANCE:
        return f"{title}: {a} and {b} differ by no more than chance ({one.value:+.3f}{within}, p = {one.p_value:.2g})."
    better, by = (a, one.value) if one.value > 0 else (b, -one.value)
    return f"{title}: {better} is better by {by:.3f}, more than chance ({a} minus {b}{within}, p = {one.p_value:.2g})."


def _table(found: RunComparison) -> str:
    a, b = found.names
    text = [f"# {a} and {b}", ""]
    if found.rows:
        text += [f"| metric | {a} | {b} | difference | better |", "|---|---|---|---|---|"]
        text += [f"| {' | '.join(row)} |" for row in metric_cells(found)]
        text.append("")
    if found.differences:
        text += [
            f"On the {found.shared} images that both have scored ({a} minus {b}; p-values corrected for their number,"
            " Holm):",
            "",
            f"| {' | '.join(DIFFERENCE_HEAD)} |",
            "|---|---|---|---|---|",
        ]
        text += [f"| {' | '.join(row)} |" for row in difference_cells(found)]
        text += ["", f"Verdicts differ on {len(found.disagree)} of them.", ""]
    seconds = [_seconds(folder) for folder in found.folders]
    text += [
        "Fit and calibration: "
        + ", ".join(f"{n} {s}" for n, s in zip(found.names, seconds, strict=True))
        + ".",
        "",
    ]
    text += [f"- {told}" for told in found.missing]
    return "\n".join(text).rstrip() + "\n"


def _seconds(folder: RunFolder) -> str:
    total = folder.read_meta().seconds.get("total") if folder.meta.exists() else None
    return "not known" if total is None else f"{total:.1f} s"


def _report(found: RunComparison, chosen: Chosen | None) -> dict[str, Any]:
    groups = (
        {} if chosen is None else {name: [s.id for s in samples] for name, samples in chosen.groups.items()}
    )
    return {
        "runs": {name: str(folder.path) for name, folder in zip(found.names, found.folders, strict=True)},
        "metrics": {
            row.name: {found.names[0]: row.first, found.names[1]: row.second, "better": row.better}
            for row in found.rows
        },
        "shared_images": found.shared,
        "differences": {key: asdict(difference) for key, difference in found.differences.items()},
        "verdicts_differ": list(found.disagree),
        "samples": groups,
        "severity_borders": None if chosen is None else chosen.borders,
        "missing": list(found.missing),
        "created_at": utc_now(),
    }
