"""The page of an evaluation: the answer, the scores, the cases to look at, and the numbers by their questions."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kizu.bundles.manifest import BundleManifest
from kizu.core.files import write_text
from kizu.data.masks import true_mask
from kizu.imaging.overlay import FOUND, HEAT_RANGE, HEAT_TABLE, TRUE, Colour
from kizu.inspection.found import Inspection
from kizu.inspection.inspector import Inspector
from kizu.inspection.layers import Layers, draw_layers
from kizu.lab.evaluate import Evaluation, Prediction
from kizu.metrics.breakdown import MEDIUM, SMALL, Cell
from kizu.metrics.suite import ROWS
from kizu.pages import render
from kizu.pages.content import Block, Case, Cases, Facts, Notes, Page, Part, Region, Scores, Table
from kizu.report.answers import evaluation_answer
from kizu.report.choosing import SORTS, rank_predictions
from kizu.report.meanings import missing_lines, number_blocks
from kizu.report.promises import TITLES, worth_telling

CASES_PER_GROUP = 12
AXES = {
    "kind": "By kind of flaw",
    "size": f"By size of flaw (small: below {SMALL:.1%} of the picture, medium: below {MEDIUM:.0%})",
    "place": "By place of flaw",
}
MOVED = (
    "This only shows what another threshold would have done. Nothing is set by it, and one that was chosen by looking"
    " at these pictures is not measured by them. kizu threshold RUN --value sets one."
)


def write_page(path: Path, title: str, parts: Iterable[Part]) -> None:
    """One HTML file with everything in it: it can be mailed. Raises `OutputError`."""
    write_text(path, render(Page(title, tuple(parts))))


def write_case_page(path: Path, evaluation: Evaluation, inspector: Inspector) -> None:
    """`report.html` of one run, on one data set."""
    part = evaluation_part(inspector, evaluation)
    write_page(path, part.title, [part])


def evaluation_part(inspector: Inspector, evaluation: Evaluation) -> Part:
    """What the page says of one evaluation; its shown cases are inspected again, by what was measured, to draw them."""
    manifest = inspector.manifest
    blocks: list[Block] = []
    if evaluation.predictions:
        blocks = [_scores(evaluation, manifest), _cases(evaluation, inspector)]
    blocks += number_blocks(evaluation.metrics, evaluation.intervals)
    blocks += breakdown_tables(evaluation.breakdown)
    blocks.append(Facts("What it rests on", _facts(manifest, evaluation)))
    promised = [
        (name if kind == "image" else f"{TITLES[kind]}: {name}", said)
        for kind, check in worth_telling(evaluation.promises).items()
        for name, said in check.rows()
    ]
    if promised:
        blocks.append(Facts("Promise and measurement", promised))
    limits = [
        *missing_lines(evaluation.reasons),
        *(f"No interval for {ROWS[key].title}: {why}." for key, why in evaluation.without_interval.items()),
        "Intervals are over test pictures, as if none depended on another.",
    ]
    blocks.append(Notes("What qualifies this", limits))
    title = f"{manifest.category} · {manifest.model}"
    return Part(title, evaluation_answer(manifest.model, manifest.category, evaluation), blocks)


def breakdown_tables(breakdown: Mapping[str, Mapping[str, Cell]]) -> list[Table]:
    """Where the misses are; what nobody drew has no column, and one kind alone no table."""
    tables = []
    for axis, cells in breakdown.items():
        if len(cells) < 2:
            continue
        columns = {
            "pictures": [str(cell.count) for cell in cells.values()],
            "found": [f"{cell.recall:.1%}" for cell in cells.values()],
            "AUROC": [_or_none(cell.auroc, ".3f") for cell in cells.values()],
            "flaw covered": [_or_none(cell.coverage, ".1%") for cell in cells.values()],
        }
        kept = {name: column for name, column in columns.items() if any(column)}
        rows = [[name, *(column[row] for column in kept.values())] for row, name in enumerate(cells)]
        tables.append(Table(AXES[axis], ["", *kept], rows))
    return tables


def heat_colours() -> list[str]:
    """Of the map, from the threshold up, as CSS has them."""
    return [css(tuple(map(int, HEAT_TABLE[index]))) for index in range(0, 256, 51)]


def css(colour: Colour | tuple[int, ...]) -> str:
    """ "#e22c34" """
    return "#" + "".join(f"{channel:02x}" for channel in colour)


def cases_block(title: str, cases: Sequence[Case], note: str = "") -> Cases:
    """The pictures with the key to their colours."""
    return Cases(title, cases, heat_colours(), HEAT_RANGE[1], (css(FOUND), css(TRUE)), note)


def listed_regions(found: Inspection) -> list[Region]:
    """Its flaws, the highest peak first."""
    limit = found.pixel_threshold
    return [Region(one.bbox, one.area, one.peak / limit if limit > 0 else 0.0) for one in found.regions]


def _or_none(value: float | None, how: str) -> str:
    return "" if value is None else format(value, how)


def _scores(evaluation: Evaluation, manifest: BundleManifest) -> Scores:
    pairs = [(p.score, int(p.sample.label == "defect")) for p in evaluation.predictions]
    return Scores("Scores, and the threshold to move", manifest.thresholds.image.value, pairs, note=MOVED)


def _cases(evaluation: Evaluation, inspector: Inspector) -> Cases:
    shown = [
        prediction
        for sort in SORTS
        for prediction in rank_predictions(evaluation.predictions, sort, most=CASES_PER_GROUP)
    ]
    note = ""
    if len(shown) < len(evaluation.predictions):
        note = (
            f"The {CASES_PER_GROUP} most telling of each outcome; kizu predict makes a page of all"
            f" {len(evaluation.predictions)}."
        )
    return cases_block("Pictures", [_case(prediction, inspector) for prediction in shown], note)


def _case(prediction: Prediction, inspector: Inspector) -> Case:
    sample = prediction.sample
    image, found = inspector.show(sample.path)
    layers = draw_layers(
        replace(found, label="NG" if prediction.is_anomaly else "OK"),
        image,
        true_mask(sample, (image.shape[0], image.shape[1])),
        is_flawed=sample.label == "defect",
    )
    return Case(
        name=sample.id,
        score=prediction.score,
        threshold=inspector.manifest.thresholds.image.value,
        label="NG" if prediction.is_anomaly else "OK",
        truth=int(sample.label == "defect"),
        kind=sample.defect,
        size_px=(image.shape[0], image.shape[1]),
        regions=listed_regions(found),
        reason=found.reason,
        **{name: _data_uri(getattr(layers, name)) for name in Layers.__dataclass_fields__},
    )


def _data_uri(content: bytes | None) -> str:
    if content is None:
        return ""
    kind = "jpeg" if content.startswith(b"\xff\xd8") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def _facts(manifest: BundleManifest, evaluation: Evaluation) -> list[tuple[str, str]]:
    fitted_on = manifest.fitted_on
    counts = evaluation.as_json()["counts"]
    return [
        (
            "Data",
            f"{fitted_on.dataset} / {manifest.category}: fitted on {fitted_on.fit_count}, calibrated on"
            f" {fitted_on.calibration_count}, tested on {counts['good']} good and {counts['defect']} defective"
            + _without_chosen(evaluation)
            + _of_another(evaluation, fitted_on.dataset, manifest.category),
        ),
        (
            "Method",
            f"{manifest.model} on {manifest.backbone.name} ({', '.join(manifest.embedding['layers'])}),"
            f" {manifest.placement.image_size[0]} x {manifest.placement.image_size[1]}",
        ),
        ("Image threshold", manifest.thresholds.image.describe()),
        ("Pixel threshold", (manifest.thresholds.zones or manifest.thresholds.pixel).describe()),
        ("Time", ", ".join(f"{stage} {value:.1f} s" for stage, value in evaluation.seconds.items())),
    ]


def _without_chosen(evaluation: Evaluation) -> str:
    left_out = 0 if evaluation.data is None else evaluation.data.left_out
    return f" ({left_out} left out, for thresholds were chosen on them)" if left_out else ""


def _of_another(evaluation: Evaluation, dataset: str, category: str) -> str:
    """Which set was measured, where it is not the one that was fitted on."""
    data = evaluation.data
    if data is None or (data.dataset, data.category) == (dataset, category):
        return ""
    return f" of {data.dataset} / {data.category}"
