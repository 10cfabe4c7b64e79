"""Groups that stay in every fit: how many, which, and that no threshold rests on them."""

from typing import Any

import numpy as np
import pytest
from tests.support import TINY

from kizu.core.errors import KizuError
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.detectors.bank import pick
from kizu.detectors.base import NEVER_LEFT_OUT
from kizu.detectors.patchcore import PatchcoreConfig
from kizu.detectors.registry import detector_config
from kizu.lab.scheme import choose_anchors
from kizu.pipeline.config import PipelineConfig
from kizu.tasks.fit import fit


def config(detector: dict[str, Any], seed: int = 0) -> PipelineConfig:
    values = {
        "detector": detector,
        "embedding": {"backbone": TINY.backbone},
        "placement": {"image_size": 64},
        "seed": seed,
    }
    return PipelineConfig.parse(values, where="test")


@pytest.mark.parametrize(
    ("detector", "groups", "expected"),
    [
        ({"kind": "patchcore"}, 49, 0),
        ({"kind": "patchcore"}, 50, 10),
        ({"kind": "patchcore"}, 99, 19),
        ({"kind": "patchcore"}, 100, 33),
        ({"kind": "patchcore", "coreset": 1.0}, 100, 0),
        ({"kind": "patchcore", "coreset_size": 50}, 100, 33),
        ({"kind": "patchcore", "coreset_method": "random"}, 100, 0),
        ({"kind": "patchcore", "projection": 4}, 100, 0),
        ({"kind": "patch_knn"}, 100, 0),
        ({"kind": "patch_knn", "coreset": 0.1}, 100, 33),
        ({"kind": "padim"}, 100, 0),
        ({"kind": "mahalanobis"}, 100, 0),
    ],
)
def test_banks_that_are_thinned_have_anchors_where_groups_are_many(
    detector: dict[str, Any], groups: int, expected: int
) -> None:
    assert detector_config(detector).anchors(groups) == expected
    chosen = choose_anchors(config(detector), groups)
    assert len(chosen) == expected
    assert chosen <= set(range(groups))
    if expected:
        assert chosen != choose_anchors(config(detector, seed=1), groups)
        assert chosen == choose_anchors(config(detector), groups)


def test_anchors_take_half_the_bank_and_the_others_add_what_lies_far_from_them() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(12 * 50, 6)).astype(np.float32)
    features[550:] += 20  # the last image is unlike all others
    groups = [NEVER_LEFT_OUT] * 4 + list(range(8))
    settings = PatchcoreConfig(coreset_size=120)
    picked = pick(features, groups, settings, rng_for(0, "fit"), Work())
    assert picked.groups is not None
    counts = {number: int((picked.groups == number).sum()) for number in np.unique(picked.groups)}
    assert counts[NEVER_LEFT_OUT] == 60
    assert sum(counts.values()) == pytest.approx(120, abs=8)
    for number in range(8):
        rows = picked.rows[picked.groups == number]
        assert (rows // 50 == number + 4).all()
    anchors = features[picked.rows[picked.groups == NEVER_LEFT_OUT]]
    own = features[550:]
    apart = np.linalg.norm(own[:, None] - anchors, axis=2).min(axis=1)
    first = picked.rows[picked.groups == 7][0]
    assert apart.argmax() == first - 550
    assert picked.coverage is not None
    apart = np.linalg.norm(features[:, None] - features[picked.rows], axis=2).min(axis=1)
    assert apart.max() <= picked.coverage.radius * (1 + 1e-5)
    assert picked.coverage.radius < 0.5 * np.linalg.norm(features, axis=1).max()


def test_no_threshold_rests_on_an_anchor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatchcoreConfig, "anchors", lambda _, groups: groups // 3)
    rng = np.random.default_rng(1)
    pictures = [rng.integers(60, 120, (64, 64, 3)).astype(np.uint8) for _ in range(9)]
    inspector = fit(pictures, config({"kind": "patchcore", "coreset": 0.2}), group="none")
    threshold = inspector.manifest.thresholds.image
    assert threshold.count == 6
    assert threshold.false_alarm_rate == pytest.approx(1 / 7)
    assert inspector.manifest.fitted_on.fit_count == 9
    with pytest.raises(KizuError, match="cannot support"):
        fit(
            pictures,
            config({"kind": "patchcore", "coreset": 0.2}).changed(
                {"calibration": {"false_alarm_rate": 0.11}}, where="test"
            ),
            group="none",
        )
