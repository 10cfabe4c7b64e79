"""The card of a fitted bundle: what it is, what it rests on, what was measured, where it ends.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
"""

import json
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from kizu.bundles.manifest import BundleManifest
from kizu.core.files import write_text
from kizu.detectors.registry import method
from kizu.metrics.suite import ROWS
from kizu.report.promises import TITLES, worth_telling
from kizu.report.tables import number
from kizu.runs.contents import MetricsFile
from kizu.runs.folder import RunFolder

MEASURED = (
    "image_auroc",
    "image_auprc",
    "image_f1",
    "image_escape_rate",
    "image_overkill_rate",
    "pixel_auroc",
    "aupro_030",
    "aupro_005",
    "aupimo",
    "seg_f1",
)
OF_PARTS = ("image_auroc", "image_f1", "aupro_030", "aupimo")
"""For each category of a model of several."""


def write_model_card(folder: RunFolder) -> Path:
    """`model_card.md` of a run, from its bundle and, where it was evaluated, its `metrics.json`.

    For who holds `RunFolder.writing`. The bundle is read once, and numbers of another are left out.
    Raises `BundleError` when it is not whole, `OutputError` when the card cannot be written.
    """
    bundle = folder.open_bundle()
    manifest, sha256 = bundle.manifest, bundle.bundle_sha256
    metrics = folder.read_metrics()
    if metrics is not None and metrics.bundle_sha256 != sha256:
        metrics = None  # measured on another version, or with other thresholds
    environment = Environment(
        loader=PackageLoader("kizu.report"), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    text = environment.get_template("model_card.md").render(
        m=manifest,
        sha256=sha256,
        thresholds=_thresholds(manifest),
        rows=_rows(metrics) if metrics and metrics.counts else [],
        promises=_promises(metrics),
        without_interval=_without_interval(metrics),
        parts=_parts(metrics) if metrics and metrics.categories else [],
        part_head=["", *(ROWS[key].title for key in OF_PARTS)],
        counts=(metrics.counts if metrics else None) or {},
        left_out=metrics.data.left_out if metrics and metrics.data else 0,
        reasons=metrics.reasons if metrics else {},
        limits=_limits(manifest),
        settings=json.dumps(manifest.detector, ensure_ascii=False),
    )
    path = folder.path / "model_card.md"
    write_text(path, text.rstrip() + "\n")
    return path


def _thresholds(manifest: BundleManifest) -> dict[str, str]:
    if manifest.thresholds_by_category:
        return {
            f"{name}, {what}": told
            for name, found in manifest.thresholds_by_category.items()
            for what, told in (
                ("OK or NG", found.image.describe()),
                ("where a flaw begins", found.pixel.describe()),
            )
        }
    found = manifest.thresholds
    told = {"OK or NG": found.image.describe(), "where a flaw begins": found.pixel.describe()}
    return told if found.zones is None else told | {"by zone, in its place": found.zones.describe()}


def _rows(metrics: MetricsFile) -> list[tuple[str, str, str]]:
    """Name, value, and its 95 % interval where there is one."""
    rows = []
    for key in MEASURED:
        interval = metrics.intervals.get(key)
        told = "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"
        rows.append((ROWS[key].title, number(metrics.values.get(key)), told))
    return rows


def _promises(metrics: MetricsFile | None) -> list[tuple[str, str]]:
    """A line for each sentence of promise and measurement, of one category or of several."""
    if metrics is None:
        return []
    of_parts = metrics.promises_by_category
    named = {f"{name}, ": found for name, found in of_parts.items()} if of_parts else {"": metrics.promises}
    return [
        (f"{before}{TITLES[kind]}, {name}", said)
        for before, found in named.items()
        for kind, check in worth_telling(found).items()
        for name, said in check.rows()
    ]


def _without_interval(metrics: MetricsFile | None) -> list[tuple[str, str]]:
    told = metrics.without_interval if metrics else {}
    return [(ROWS[key].title, why) for key, why in told.items() if key in MEASURED]


def _parts(metrics: MetricsFile) -> list[list[str]]:
    """A row for each category, and the mean."""
    found = {**(metrics.categories or {}), "mean": metrics.mean}
    return [[name, *(number(values.get(key)) for key in OF_PARTS)] for name, values in found.items()]


def _limits(manifest: BundleManifest) -> list[str]:
    """What this bundle cannot do, by what it is."""
    fitted = manifest.fitted_on
    h, w = manifest.placement.image_size
    limits = [
        f"It knows {fitted.fit_count} good images of {manifest.category}. Another product, camera, lens, light or"
        " resolution is another distribution: fit anew, and set the thresholds anew.",
        f"Images are brought to {h} x {w}: a flaw of a few pixels at that size may go unseen.",
    ]
    rate = manifest.thresholds.image.false_alarm_rate
    if rate is None:
        limits.append("Its image threshold promises no false-alarm rate.")
    else:
        limits.append(
            f"The false-alarm rate of {rate:.3g} holds for good parts like those it was set on, on average over such"
            " sets; it says nothing of how many flaws are found."
        )
    if 0 < manifest.thresholds.image.count < 20:
        limits.append(
            f"{manifest.thresholds.image.count} images set the image threshold: another draw would move it visibly."
        )
    crop = manifest.placement.tell_crop()
    limits += [f"{crop[0].upper()}{crop[1:]}."] if crop else []
    return limits + method(manifest.model).limits(manifest.detector)
