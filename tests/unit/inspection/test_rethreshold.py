"""Another threshold is another inspector, of the same model; an inspector itself never changes."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from tests.support import CONFIG, category, fitted, part_picture, run_config, with_flaw

import kizu
from kizu.bundles.store import load, save
from kizu.core.errors import CalibrationError, ConfigError
from kizu.core.types import U8
from kizu.decision.conformal import conformal, conformal_confident, maximum
from kizu.decision.policy import PolicyConfig
from kizu.decision.thresholds import Threshold
from kizu.inspection.inspector import Inspector
from kizu.lab.threshold import set_by_rule
from kizu.lab.train import train_run
from kizu.release.export import export_run
from kizu.runs.folder import RunFolder
from kizu.runs.scores import CALIBRATION


@pytest.fixture
def inspector(run: RunFolder) -> Inspector:
    return Inspector.open(run.path, policy=PolicyConfig(min_defect_area=2))


def test_a_value_decides_and_the_first_stays_as_it_was(inspector: Inspector) -> None:
    picture = part_picture(70)
    score, before = inspector.inspect(picture).score, inspector.threshold
    lower, higher = inspector.with_threshold(score * 0.99), inspector.with_threshold(score * 1.01)
    assert (lower.inspect(picture).label, higher.inspect(picture).label) == ("NG", "OK")
    assert lower.inspect(picture).score == score
    assert inspector.threshold == before
    assert lower.threshold.describe().endswith("(set by hand; no guarantee)")
    assert lower.policy.config == inspector.policy.config
    assert len({one.bundle_sha256 for one in (inspector, lower, higher)}) == 3


def test_a_pixel_threshold_cuts_the_flaws(inspector: Inspector) -> None:
    flawed = with_flaw(part_picture(70), 20, 24)
    found = inspector.inspect(flawed)
    limit = float(found.map.max()) * 0.9
    other = inspector.with_threshold(pixel=limit)
    np.testing.assert_array_equal(other.inspect(flawed).mask, found.map > limit)
    assert other.threshold == inspector.threshold


def test_a_rate_is_that_of_the_kept_scores(run: RunFolder, inspector: Inspector) -> None:
    by_rate = inspector.with_threshold(false_alarm_rate=0.25)
    set_by_rule(run, {"rule": "conformal", "false_alarm_rate": 0.25})
    assert by_rate.manifest.thresholds == load(run.bundle).manifest.thresholds
    assert by_rate.threshold.false_alarm_rate == 0.25
    confident = inspector.with_threshold(false_alarm_rate=0.5, confidence=0.9).manifest.thresholds
    assert (confident.image.confidence, confident.pixel.confidence) == (0.9, 0.9)
    with pytest.raises(CalibrationError, match="cannot support"):
        inspector.with_threshold(false_alarm_rate=0.01)
    (run.path / CALIBRATION).unlink()
    with pytest.raises(CalibrationError, match="not at hand"):
        inspector.with_threshold(false_alarm_rate=0.25)


def test_a_rate_on_own_scores_of_good_images(inspector: Inspector) -> None:
    scores = np.linspace(1, 2, 99, dtype=np.float32)
    assert inspector.with_threshold(false_alarm_rate=0.01, good_scores=scores).threshold == conformal(
        scores, 0.01
    )
    confident = inspector.with_threshold(false_alarm_rate=0.05, confidence=0.95, good_scores=scores.tolist())
    assert confident.threshold == conformal_confident(scores, 0.05, 0.95)
    given = maximum(scores)
    assert inspector.with_threshold(given).threshold == given


def test_what_is_neither_value_nor_rate_is_refused(inspector: Inspector) -> None:
    for wrong in (
        lambda: inspector.with_threshold(),
        lambda: inspector.with_threshold(1.0, false_alarm_rate=0.1),
        lambda: inspector.with_threshold(1.0, confidence=0.9),
        lambda: inspector.with_threshold(1.0, good_scores=[1.0]),
        lambda: inspector.with_threshold(confidence=0.9),
    ):
        with pytest.raises(ConfigError, match="by a value or by a rate"):
            wrong()
    with pytest.raises(CalibrationError, match="no number"):
        inspector.with_threshold(float("nan"))


@pytest.mark.parametrize(
    "name", ["threshold", "image_threshold", "policy", "manifest", "roi", "_scorer", "work"]
)
def test_nothing_can_be_set_that_would_do_nothing(inspector: Inspector, name: str) -> None:
    before = dict(vars(inspector))
    with pytest.raises(AttributeError, match=rf"'{name}' .*with_threshold"):
        setattr(inspector, name, 3)
    with pytest.raises(AttributeError):
        delattr(inspector, name)
    assert vars(inspector) == before
    for part, field in (
        (inspector.policy, "thresholds"),
        (inspector.policy, "pixel_threshold"),
        (inspector.policy.config, "min_defect_area"),
        (inspector.manifest, "thresholds"),
        (inspector.manifest.thresholds, "image"),
        (inspector.threshold, "value"),
    ):
        with pytest.raises((AttributeError, ValueError)):
            setattr(part, field, 3)


def test_it_goes_where_it_is_sent_and_is_saved(inspector: Inspector, tmp_path: Path) -> None:
    other = inspector.with_threshold(0.5, pixel=0.25)
    sent = pickle.loads(pickle.dumps(other))  # noqa: S301 - our own
    assert sent.manifest == other.manifest
    assert sent.with_threshold(false_alarm_rate=0.25).threshold == (
        inspector.with_threshold(false_alarm_rate=0.25).threshold
    )
    save(other.bundle, tmp_path / "bundle")
    opened = Inspector.open(tmp_path / "bundle")
    assert (opened.threshold.value, opened.policy.pixel_threshold) == (0.5, 0.25)
    assert opened.manifest.by_hand == ("image", "pixel")


def test_an_exported_file_gets_another_threshold_too(run: RunFolder) -> None:
    path = export_run(run).path
    first = Inspector.open(path)
    picture = part_picture(70)
    score = first.inspect(picture).score
    other = first.with_threshold(score * 0.99)
    labels = [one.inspect(picture).label for one in (first.with_threshold(score * 1.01), other)]
    assert labels == ["OK", "NG"]
    assert other.bundle_sha256 != first.bundle_sha256
    assert pickle.loads(pickle.dumps(other)).inspect(picture).label == "NG"  # noqa: S301
    with pytest.raises(CalibrationError, match="good_scores"):
        first.with_threshold(false_alarm_rate=0.25)
    assert Inspector.open(path).threshold == first.threshold


def test_what_a_notebook_has_fitted_knows_its_scores(good_pictures: U8) -> None:
    config = CONFIG.changed({"calibration": {"fraction": 0.4}}, where="test")
    inspector = kizu.fit(list(good_pictures), config)
    found = inspector.with_threshold(false_alarm_rate=0.25)
    assert isinstance(found.threshold, Threshold)
    assert found.threshold.count == inspector.threshold.count
    assert found.threshold.value < inspector.threshold.value
    with pytest.raises(CalibrationError, match="not at hand"):
        Inspector(fitted(good_pictures).bundle).with_threshold(false_alarm_rate=0.25)


def test_of_several_categories_each_rate_is_on_its_own_images(tmp_path: Path) -> None:
    for name, seed in (("plate", 0), ("disc", 700)):
        category(tmp_path / "data", name, seed)
    run = train_run(run_config(tmp_path / "data", "plate,disc"), tmp_path / "runs").folder
    for name in ("plate", "disc"):
        inspector = Inspector.open(run.path, category=name)
        count = inspector.threshold.count
        assert inspector.with_threshold(false_alarm_rate=0.4).threshold.count == count
        assert inspector.with_threshold(2.5).manifest.category == name
