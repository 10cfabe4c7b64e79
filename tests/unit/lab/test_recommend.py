"""What is recommended fits the budget, was measured on the data at hand, and is said with its reason."""

from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import BASE, category

from kizu.core.errors import DataError
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.lab.budget import Budget
from kizu.lab.recommend import ALIKE, Estimate, Recommendation, recommend

CANDIDATES = {
    "bank": {"detector": {"kind": "patchcore", "coreset": 0.05}},
    "all patches": {"detector": {"kind": "patch_knn"}},
    "Gaussian, small": {"detector": {"kind": "mahalanobis"}, "placement": {"image_size": 32}},
}


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return category(tmp_path_factory.mktemp("set"), "plate", 0)


def test_every_candidate_is_measured_and_one_is_chosen(plate: Manifest) -> None:
    found = recommend(plate, base=BASE, candidates=CANDIDATES)
    assert [e.name for e in found.estimates] == list(CANDIDATES)
    assert found.count == 12
    for estimate in found.estimates:
        assert estimate.fit_seconds > 0
        assert estimate.latency_ms > 0
        assert estimate.memory_bytes > 1 << 20
        assert 0.3 < estimate.painted_auroc <= 1
    assert found.chosen is not None
    assert found.chosen.name in found.reason
    assert found.estimates[2].config.placement.image_size == (32, 32)


def test_a_budget_is_kept_and_what_breaks_it_is_said(plate: Manifest) -> None:
    found = recommend(plate, Budget(memory_mb=1), base=BASE, candidates=CANDIDATES)
    assert found.chosen is None
    assert all("memory" in e.exceeds[0] and "MB of 1" in e.exceeds[0] for e in found.estimates)
    assert "nothing" in found.reason
    assert recommend(plate, Budget(latency_ms=1e6, fit_seconds=1e6), base=BASE, candidates=CANDIDATES).chosen


def test_equals_are_ordered_by_the_table_and_betters_win() -> None:
    one = Estimate("one", BASE, 1.0, 1, 1.0, 0.9, 0.9, ())
    alike = replace(one, name="alike", painted_auroc=0.9 + ALIKE)
    better = replace(one, name="better", painted_auroc=0.9 + 4 * ALIKE)
    assert Recommendation(9, (one, alike), {}).chosen is one
    assert "as well as alike" in Recommendation(9, (one, alike), {}).reason
    found = Recommendation(9, (one, alike, better), {})
    assert found.chosen is better
    assert "better sees the painted flaws best of the 3" in found.reason
    assert Recommendation(9, (one, replace(better, exceeds=("latency",))), {}).chosen is one


def test_what_is_not_installed_is_said_and_the_rest_is_tried(
    plate: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kizu.pipeline.fitting as module
    from kizu.core.errors import MissingExtraError

    load = module.load_backbone

    def missing(name: str) -> object:
        if name != "tiny":
            raise MissingExtraError("not there", hint="pip install it")
        return load(name)

    monkeypatch.setattr(module, "load_backbone", missing)
    absent = {**CANDIDATES["bank"], "embedding": {"backbone": "efficientnet_lite2"}}
    told: list[tuple[str, int, int]] = []
    found = recommend(
        plate,
        base=BASE,
        candidates={"absent": absent, "bank": CANDIDATES["bank"]},
        work=Work(on_progress=lambda *step: told.append(step)),
    )
    assert found.left_out == {"absent": "pip install it"}
    assert [estimate.name for estimate in found.estimates] == ["bank"]
    assert told == [("candidates", 2, 2)]
    nothing = recommend(plate, base=BASE, candidates={"absent": absent})
    assert nothing.chosen is None
    assert nothing.reason == "nothing that was tried fits the budget"


def test_three_images_are_too_few(plate: Manifest) -> None:
    few = replace(plate, samples=plate.train_good()[:3])
    with pytest.raises(DataError, match="3 good training image") as refused:
        recommend(few, base=BASE)
    assert "at least 4" in (refused.value.hint or "")


def test_the_choice_trains(plate: Manifest, tmp_path: Path) -> None:
    from kizu.data.scan import DataConfig
    from kizu.lab.train import RunConfig, train_run

    chosen = recommend(plate, base=BASE, candidates={"bank": CANDIDATES["bank"]}).chosen
    assert chosen is not None
    root = plate.train_good()[0].path.parents[3]
    config = RunConfig(**dict(chosen.config), data=DataConfig(root=root, category="plate"))
    written = tmp_path / "config.yaml"
    written.write_text(config.to_yaml())
    assert train_run(RunConfig.read(written), tmp_path / "runs").folder.bundle.is_dir()
