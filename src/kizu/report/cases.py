"""The page to look at: the cases that went wrong, and those that went best, beside their numbers."""

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from kizu.core.files import write_text
from kizu.core.provenance import package_versions, utc_now
from kizu.core.types import U8
from kizu.imaging.codec import jpeg_bytes
from kizu.imaging.placement import PlacementConfig, place
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import Evaluation, Prediction
from kizu.report.choosing import SORTS, Sort, rank_predictions
from kizu.report.promises import TITLES, worth_telling
from kizu.report.tables import number

CASES_PER_GROUP = 6
LONGEST_SIDE_PX = 480


@dataclass(frozen=True, slots=True)
class Case:
    """One image, before and after."""

    name: str
    kind: str
    score: str
    label: str
    original: str
    """data URI"""
    overlay: str
    """data URI"""


@dataclass(frozen=True, slots=True)
class Group:
    """Cases of one sort."""

    title: str
    count: int
    """How many there are; the page shows the first few."""
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One run's part of the page."""

    title: str
    facts: Mapping[str, str]
    metrics: Mapping[str, str]
    groups: Sequence[Group]


def _without_chosen(evaluation: Evaluation) -> str:
    left_out = 0 if evaluation.data is None else evaluation.data.left_out
    return f" ({left_out} left out, for thresholds were chosen on them)" if left_out else ""


def run_section(inspector: Inspector, evaluation: Evaluation) -> Section:
    """What the page says of one evaluation; its shown cases are inspected again, by what was measured, to draw them."""
    manifest = inspector.manifest
    fitted_on = manifest.fitted_on
    counts = evaluation.as_json()["counts"]
    facts = {
        "Data": f"{fitted_on.dataset} / {manifest.category}: fitted on {fitted_on.fit_count}, calibrated on"
        f" {fitted_on.calibration_count}, tested on {counts['good']} good and {counts['defect']} defective"
        + _without_chosen(evaluation)
        + _of_another(evaluation, fitted_on.dataset, manifest.category),
        "Method": f"{manifest.model} on {manifest.backbone.name} ({', '.join(manifest.embedding['layers'])}),"
        f" {manifest.placement.image_size[0]} x {manifest.placement.image_size[1]}",
        "Image threshold": manifest.thresholds.image.describe(),
        "Pixel threshold": (manifest.thresholds.zones or manifest.thresholds.pixel).describe(),
        **{
            f"{TITLES[kind]}, {name}": said
            for kind, check in worth_telling(evaluation.promises).items()
            for name, said in _numbered(check.rows())
        },
    }
    return Section(
        title=f"{manifest.category} · {manifest.model}",
        facts=facts,
        metrics={name: number(value) for name, value in evaluation.metrics.items()},
        groups=[_group(sort, evaluation.predictions, inspector) for sort in SORTS],
    )


def write_page(path: Path, title: str, sections: Iterable[Section], seconds: Mapping[str, float]) -> None:
    """One HTML file with everything in it: it can be mailed."""
    environment = Environment(
        loader=PackageLoader("kizu.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("cases.html").render(
        title=title,
        sections=list(sections),
        seconds={stage: f"{value:.1f} s" for stage, value in seconds.items()},
        version=package_versions()["kizu"],
        created_at=utc_now(),
    )
    write_text(path, page)


def write_case_page(path: Path, evaluation: Evaluation, inspector: Inspector) -> None:
    """`report.html` of one run, on one data set."""
    section = run_section(inspector, evaluation)
    write_page(path, section.title, [section], evaluation.seconds)


def _numbered(rows: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """With a number where a name comes again, as that of likely causes does."""
    names = [name for name, _ in rows]
    return [
        (name if names[:place].count(name) == 0 else f"{name} ({names[:place].count(name) + 1})", said)
        for place, (name, said) in enumerate(rows)
    ]


def _of_another(evaluation: Evaluation, dataset: str, category: str) -> str:
    """Which set was measured, where it is not the one that was fitted on."""
    data = evaluation.data
    if data is None or (data.dataset, data.category) == (dataset, category):
        return ""
    return f" of {data.dataset} / {data.category}"


def _group(sort: Sort, predictions: Sequence[Prediction], inspector: Inspector) -> Group:
    shown = rank_predictions(predictions, sort, most=CASES_PER_GROUP)
    return Group(sort.title, sum(map(sort.keep, predictions)), tuple(_case(p, inspector) for p in shown))


def _case(prediction: Prediction, inspector: Inspector) -> Case:
    image, found = inspector.show(prediction.sample.path)
    return Case(
        name=prediction.sample.id,
        kind=prediction.sample.defect,
        score=f"{found.score:.3f}",
        label=found.label,
        original=_data_uri(image),
        overlay=_data_uri(found.overlay(image, caption=False)),
    )


def _data_uri(image: U8) -> str:
    scale = LONGEST_SIDE_PX / max(image.shape)
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in image.shape[:2])
        image = place(image, PlacementConfig(image_size=(height, width)))
    return "data:image/jpeg;base64," + base64.b64encode(jpeg_bytes(image, 85)).decode()
