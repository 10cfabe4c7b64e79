"""A card says what a bundle rests on, what was measured and what was not."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import example

from kizu.bundles.manifest import Bundle
from kizu.bundles.store import load, save
from kizu.core.split import Split
from kizu.decision.calibration import CalibrationConfig, Thresholds
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold
from kizu.decision.zones import ZoneThresholds
from kizu.lab.evaluate import evaluate_run
from kizu.lab.tune import compute_thresholds
from kizu.metrics.auroc_interval import auroc_interval
from kizu.metrics.suite import METRICS, ROWS
from kizu.report.model_card import MEASURED, write_model_card
from kizu.runs.folder import RunFolder


def test_before_and_after_an_evaluation(run: RunFolder) -> None:
    before = write_model_card(run).read_text()
    for said in (
        load(run.bundle).bundle_sha256[:16],
        "fitted on 7 good images",
        "Nothing yet",
        "5 images set the image",
    ):
        assert said in before
    evaluate_run(run)
    after = write_model_card(run).read_text()
    assert "Nothing yet" not in after
    assert "On 4 good and 4 defective test images" in after
    labels = np.arange(8) < 4  # told apart without a mistake
    low = auroc_interval(labels, labels + 0.0).low
    assert f"| image AUROC | 1.0000 | {low:.3f} to 1.000 |" in after
    assert low < 0.8
    told = [line.split("|")[1].strip() for line in after.splitlines() if line.startswith("| ")]
    for title in (
        "image AUPRC",
        "F1 at the image threshold",
        "defective parts passed",
        "good parts rejected",
        "pixel AUROC",
        "AU-PRO@0.30",
        "AU-PRO@0.05",
        "AUPIMO",
        "SegF1",
    ):
        assert title in told


def test_numbers_of_other_thresholds_are_not_shown(run: RunFolder) -> None:
    evaluate_run(run)
    compute_thresholds(run, CalibrationConfig(rule="mean_sigma"))
    assert "Nothing yet" in write_model_card(run).read_text()


def stored(path: Path, **changes: Any) -> RunFolder:
    """A run folder that holds a bundle which says of itself what `changes` say, and nothing else."""
    manifest = example().manifest.model_copy(
        update={"versions": {"kizu": "1.2.3"}, "embedding": EMBEDDING, **changes}
    )
    save(Bundle(manifest, example().graph, example().arrays), path / "bundle")
    return RunFolder(path)


EMBEDDING = {"backbone": "tiny", "layers": ["blocks.1", "blocks.2"], "normalisation": "imagenet"}


def threshold(value: float = 1.5, *, count: int = 30, rate: float | None = None) -> Threshold:
    return Threshold(
        value=value, rule=Rule(name="maximum"), split=Split.CALIBRATION, count=count, false_alarm_rate=rate
    )


def limits(card: str) -> list[str]:
    return [line for line in card.split("## Limits")[1].split("## ")[0].splitlines() if line.startswith("- ")]


def rows(card: str) -> dict[str, list[str]]:
    """Name -> the cells after it, of all tables."""
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in card.splitlines() if line.startswith("|")
    ]
    return {name: rest for name, *rest in cells}


def measured(folder: RunFolder, **changes: Any) -> None:
    """Writes metrics.json as `evaluate` does: each metric has a value of its own."""
    values = {row.key: 0.01 * (index + 1) for index, row in enumerate(METRICS)}
    content = {
        **values,
        "reasons": {},
        "confusion": {"tp": 3, "fp": 1, "tn": 5, "fn": 1},
        "intervals": {"image_auroc": {"low": 0.875, "high": 0.9375, "level": 0.95, "method": "by hand"}},
        "without_interval": {"image_auprc": "nobody knows one", "image_recall": "not on the card"},
        "breakdown": {},
        "counts": {"good": 6, "defect": 4},
        "counts_by_kind": {"good": 6, "hole": 4},
        "seconds": {},
        "bundle_sha256": load(folder.bundle).bundle_sha256,
    }
    folder.metrics.write_text(json.dumps(content | changes))


def test_each_number_stands_by_its_own_name(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    measured(folder)
    card = write_model_card(folder).read_text()
    written = json.loads(folder.metrics.read_text())
    found = rows(card)
    assert {ROWS[key].title: found[ROWS[key].title][0] for key in MEASURED} == {
        ROWS[key].title: f"{written[key]:.4f}" for key in MEASURED
    }
    assert "image AUPRC has no interval: nobody knows one." in card
    assert "not on the card" not in card
    assert found["image AUROC"] == [f"{written['image_auroc']:.4f}", "0.875 to 0.938"]
    assert found["image AUPRC"][1] == ""
    assert found["defective parts passed"][0] == f"{written['image_escape_rate']:.4f}"
    assert found["good parts rejected"][0] == f"{written['image_overkill_rate']:.4f}"
    assert "On 6 good and 4 defective test images" in card


def test_the_card_is_markdown_that_is_shown_as_it_is_meant(tmp_path: Path) -> None:
    """A table has no gap in it, what is not said leaves none, and the file ends with its last line."""
    folder = stored(tmp_path)
    measured(folder, reasons={"pixel_auroc": "no masks"}, pixel_auroc=None)
    path = write_model_card(folder)
    assert path == tmp_path / "model_card.md"
    card = path.read_text()
    assert card.startswith("# bottle: patchcore\n\nBundle ")
    assert card.endswith("- kizu: MIT\n")
    assert "\n\n\n" not in card
    lines = card.splitlines()
    cells = [number for number, line in enumerate(lines) if line.startswith("|")]
    assert cells == list(range(cells[0], cells[0] + 2 + len(MEASURED)))
    assert not any(line.startswith(" |") or line != line.rstrip() for line in lines)


def test_what_could_not_be_measured_is_a_dash_with_its_reason(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    measured(folder, pixel_auroc=None, reasons={"pixel_auroc": "no masks", "aupimo": "too few pixels"})
    card = write_model_card(folder).read_text()
    assert rows(card)["pixel AUROC"][0] == "-"
    assert "pixel_auroc is missing: no masks." in card


def test_numbers_of_another_bundle_are_not_shown(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    measured(folder, bundle_sha256="0" * 64)
    assert "Nothing yet" in write_model_card(folder).read_text()


def test_a_model_of_several_categories_shows_each_and_the_mean(tmp_path: Path) -> None:
    folder = stored(tmp_path)
    shown = ("image_auroc", "image_f1", "aupro_030", "aupimo")
    values = {name: dict(zip(shown, numbers, strict=True)) for name, numbers in {
        "plate": (0.5, 0.6, 0.7, None), "disc": (0.1, 0.2, 0.3, 0.4), "mean": (0.3, 0.4, 0.5, 0.4),
    }.items()}  # fmt: skip
    mean = values.pop("mean")
    content = {"bundle_sha256": load(folder.bundle).bundle_sha256, "mean": mean, "categories": values}
    folder.metrics.write_text(json.dumps(content))
    found = rows(write_model_card(folder).read_text())
    assert found[""] == ["image AUROC", "F1 at the image threshold", "AU-PRO@0.30", "AUPIMO"]
    assert found["plate"] == ["0.5000", "0.6000", "0.7000", "-"]
    assert found["disc"] == ["0.1000", "0.2000", "0.3000", "0.4000"]
    assert found["mean"] == ["0.3000", "0.4000", "0.5000", "0.4000"]


def test_what_it_is_made_of_is_said(tmp_path: Path) -> None:
    card = write_model_card(stored(tmp_path, seed=7)).read_text()
    for said in (
        "# bottle: patchcore",
        'settings `{"kind": "patchcore"}`, seed 7',
        "features: tiny, layers blocks.1, blocks.2, normalisation imagenet",
        "input: 64 x 96 pixels",
        "set mvtec_ad",
        "fitted on 10 good images; thresholds set on 19 good images",
        "weights: MIT, from here",
        "by kizu 1.2.3",
    ):
        assert said in card
    assert "Version" not in card


def test_a_version_says_why_it_was_made(tmp_path: Path) -> None:
    card = write_model_card(stored(tmp_path, version=3, reason="a new lamp", parent="ab" * 32)).read_text()
    assert "Version 3: a new lamp (made from abababababababab)." in card


def test_every_threshold_is_told_with_what_it_is_for(tmp_path: Path) -> None:
    image, pixel = threshold(2.5, rate=0.05), threshold(7.5)
    card = write_model_card(
        stored(tmp_path / "one", thresholds=Thresholds(image=image, pixel=pixel))
    ).read_text()
    assert f"- OK or NG: {image.describe()}" in card
    assert f"- where a flaw begins: {pixel.describe()}" in card
    assert "by zone" not in card
    zones = ZoneThresholds(grid=(1, 2), zones=(threshold(3.5), threshold(4.5)))
    by_zone = Thresholds(image=image, pixel=pixel, zones=zones)
    card = write_model_card(stored(tmp_path / "zones", thresholds=by_zone)).read_text()
    assert f"- by zone, in its place: {zones.describe()}" in card
    by_category = {
        "plate": Thresholds(image=threshold(1.0), pixel=threshold(2.0)),
        "disc": Thresholds(image=threshold(3.0), pixel=threshold(4.0)),
    }
    card = write_model_card(stored(tmp_path / "parts", thresholds_by_category=by_category)).read_text()
    for name, found in by_category.items():
        assert f"- {name}, OK or NG: {found.image.describe()}" in card
        assert f"- {name}, where a flaw begins: {found.pixel.describe()}" in card


@pytest.mark.parametrize(("count", "is_few"), [(5, True), (19, True), (20, False), (200, False)])
def test_a_threshold_on_few_images_is_said_to_be_one(tmp_path: Path, count: int, is_few: bool) -> None:
    thresholds = Thresholds(image=threshold(count=count, rate=0.05), pixel=threshold(count=300))
    found = limits(write_model_card(stored(tmp_path, thresholds=thresholds)).read_text())
    assert any(f"{count} images set the image threshold" in line for line in found) is is_few


@pytest.mark.parametrize("rate", [0.05, None])
def test_a_promise_is_told_with_what_it_does_not_say_and_none_is_told_too(
    tmp_path: Path, rate: float | None
) -> None:
    thresholds = Thresholds(image=threshold(rate=rate), pixel=threshold())
    found = " ".join(limits(write_model_card(stored(tmp_path, thresholds=thresholds)).read_text()))
    assert ("false-alarm rate of 0.05 holds for good parts" in found) is (rate is not None)
    assert ("promises no false-alarm rate" in found) is (rate is None)


@pytest.mark.parametrize(
    ("model", "settings", "said"),
    [
        ("padim", {}, "parts must lie alike"),
        ("mahalanobis", {"image_score": "pooled"}, "flaw of a few patches may not move it"),
        ("mahalanobis", {"image_score": "top_patches"}, None),
        ("patchcore", {"image_score": "pooled"}, None),
    ],
)
def test_a_method_is_told_with_what_it_cannot_see(
    tmp_path: Path, model: str, settings: dict[str, str], said: str | None
) -> None:
    folder = stored(tmp_path, model=model, detector={"kind": model, **settings})
    found = limits(write_model_card(folder).read_text())
    own = [line for line in found if "parts must lie alike" in line or "may not move it" in line]
    assert len(own) == (said is not None)
    assert said is None or said in own[0]
    assert "10 good images of bottle" in found[0]
    assert "64 x 96: a flaw of a few pixels" in found[1]
