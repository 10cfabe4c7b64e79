"""Of the candidates the best on average is kept, ties go to the first, and the evidence says all of it.

Every trial here is told what it finds, so that what should be kept is known.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from tests.support import BASE, category

import kizu.protocol.design as module
from kizu.core.errors import ConfigError, DataError
from kizu.core.files import write_stored
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.pipeline.config import PipelineConfig
from kizu.protocol.design import METHODS, design, list_candidates, read_candidates, read_design

Numbers = dict[str, float | None]
HELD_OUT = np.array([8.0, 9.0, 10.0, 11.0, 12.0], np.float32)
"""Their median is 10, and their spread 1.4826."""


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    root = tmp_path_factory.mktemp("set")
    return [category(root, name, seed) for name, seed in (("plate", 0), ("disc", 500))]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[tuple[str, int, int]]]:
    """Makes trials find what a function of (config, category) says; gives the list of trials that will be made."""

    def tell(numbers: Callable[[PipelineConfig, str], Numbers], scores: Any = ()) -> list[Any]:
        tried: list[Any] = []

        @contextmanager
        def run_trial(config: PipelineConfig, manifest: Manifest, **_: Any) -> Iterator[Any]:
            tried.append((config, manifest.category))
            yield SimpleNamespace(
                found=SimpleNamespace(
                    scores=np.array([*scores, 1e6], np.float32),
                    defective=np.array([*(False for _ in scores), True]),
                ),
                evaluation=SimpleNamespace(metrics=numbers(config, manifest.category)),
                fitted=SimpleNamespace(calibration=SimpleNamespace(scores=HELD_OUT)),
            )

        monkeypatch.setattr(module, "run_trial", run_trial)
        return tried

    return tell


def by_coreset(table: dict[float, Numbers]) -> Callable[[PipelineConfig, str], Numbers]:
    return lambda config, _category: table[config.detector.coreset]  # type: ignore[attr-defined]


def changes(*parts: float) -> dict[str, list[dict[str, Any]]]:
    return {"patchcore": [{"detector": {"coreset": part}} for part in parts]}


def test_the_best_mean_of_both_numbers_is_kept(sets: list[Manifest], told: Any) -> None:
    told(by_coreset({
        0.1: {"image_auroc": 0.9, "aupro_030": 0.5},
        0.2: {"image_auroc": 0.8, "aupro_030": 0.8},
        0.3: {"image_auroc": 0.5, "aupro_030": 0.9},
    }), [10.0])  # fmt: skip
    found = design(sets, candidates=changes(0.1, 0.2, 0.3), base=BASE)
    assert found.pipelines["patchcore"].detector.coreset == 0.2  # type: ignore[attr-defined]
    assert [
        (row["changes"]["detector"]["coreset"], row["worth"], row["chosen"]) for row in found.origin.evidence
    ] == [
        (0.2, pytest.approx(0.8), True),
        (0.1, pytest.approx(0.7), False),
        (0.3, pytest.approx(0.7), False),
    ]
    assert found.origin.evidence[1]["image_auroc"] == pytest.approx(0.9)
    assert found.origin.evidence[1]["aupro_030"] == pytest.approx(0.5)


def test_a_change_may_be_of_the_detector_the_features_and_the_placement(
    sets: list[Manifest], told: Any
) -> None:
    tried = told(
        lambda config, _: {"image_auroc": config.placement.image_size[0] / 100, "aupro_030": 0.5}, [10.0]
    )
    all_parts = {
        "detector": {"coreset": 0.1},
        "embedding": {"layers": ["blocks.1"]},
        "placement": {"image_size": 96},
    }
    found = design(sets[:1], candidates={"patchcore": [{}, all_parts]}, base=BASE)
    plain, changed = (config for config, _ in tried)
    assert plain == BASE.with_detector("patchcore", {})
    assert changed == BASE.changed(
        {
            "detector": {"coreset": 0.1},
            "embedding": {"layers": ["blocks.1"]},
            "placement": {"image_size": 96},
        },
        where="test",
    )
    assert found.pipelines["patchcore"] == changed
    assert [(row["method"], row["changes"]) for row in found.origin.evidence] == [
        ("patchcore", all_parts),
        ("patchcore", {}),
    ]
    assert found.origin.how == "kizu design"
    with pytest.raises(ConfigError, match="candidate patchcore"):
        design(sets[:1], candidates={"patchcore": [{"placement": {"image_size": 0}}]}, base=BASE)


def test_a_design_is_read_back_as_it_was_written(sets: list[Manifest], told: Any, tmp_path: Path) -> None:
    told(lambda *_: {"image_auroc": 0.7, "aupro_030": None}, [10.0])
    found = design(sets, candidates=changes(0.1, 0.2), base=BASE)
    write_stored(tmp_path / "design.json", found)
    assert read_design(tmp_path / "design.json") == found
    (tmp_path / "broken.json").write_text("{}")
    for name in ("broken.json", "none.json"):
        with pytest.raises(ConfigError, match=name) as refused:
            read_design(tmp_path / name)
        assert "kizu design" in (refused.value.hint or "")


def test_a_tie_goes_to_the_first(sets: list[Manifest], told: Any) -> None:
    told(lambda *_: {"image_auroc": 0.7, "aupro_030": 0.7}, [10.0])
    found = design(sets, candidates=changes(0.3, 0.1), base=BASE)
    assert found.pipelines["patchcore"].detector.coreset == 0.3  # type: ignore[attr-defined]


def test_every_candidate_meets_every_category_with_every_seed(sets: list[Manifest], told: Any) -> None:
    tried = told(lambda *_: {"image_auroc": 0.7, "aupro_030": 0.7}, [10.0])
    design(sets, candidates={**changes(0.1, 0.2), "padim": [{}]}, base=BASE, seeds=(0, 4))
    met = {(c.detector.kind, getattr(c.detector, "coreset", None), name, c.seed) for c, name in tried}
    assert len(met) == len(tried) == 3 * 2 * 2
    assert ("patchcore", 0.2, "disc", 4) in met
    assert ("padim", None, "plate", 0) in met


def test_the_mean_goes_over_categories_and_seeds(sets: list[Manifest], told: Any) -> None:
    told(
        lambda config, name: {"image_auroc": 0.4 if name == "disc" else 0.8, "aupro_030": 0.1 * config.seed},
        [10.0],
    )
    found = design(sets, candidates=changes(0.1), base=BASE, seeds=(2, 4))
    (row,) = found.origin.evidence
    assert row["image_auroc"] == pytest.approx(0.6)
    assert row["aupro_030"] == pytest.approx(0.3)
    assert row["worth"] == pytest.approx(0.45)


def test_what_cannot_be_measured_is_left_out_of_the_mean(sets: list[Manifest], told: Any) -> None:
    told(lambda _, name: {"image_auroc": 0.6, "aupro_030": None if name == "disc" else 0.9}, [10.0])
    found = design(sets, candidates=changes(0.1), base=BASE)
    (row,) = found.origin.evidence
    assert (row["worth"], row["aupro_030"]) == (pytest.approx(0.7), 0.9)
    told(lambda *_: {"image_auroc": 0.6, "aupro_030": None}, [10.0])
    (row,) = design(sets, candidates=changes(0.1), base=BASE).origin.evidence
    assert (row["worth"], row["aupro_030"]) == (0.6, None)
    told(lambda *_: {"image_auroc": None, "aupro_030": None}, [10.0])
    with pytest.raises(DataError, match="good and defective test images"):
        design(sets, candidates=changes(0.1), base=BASE)


@pytest.mark.parametrize(("rate", "above"), [(0.0, 0), (0.1, 2), (0.5, 10)])
def test_the_threshold_that_is_carried_rejects_so_many_good_images_of_all(
    sets: list[Manifest], told: Any, rate: float, above: int
) -> None:
    told(lambda *_: {"image_auroc": 0.7, "aupro_030": 0.7}, np.arange(10.0, 20.0))
    fewer = replace(sets[1], samples=tuple(s for s in sets[1].samples if s.id != "test/checks/0.png"))
    found = design([sets[0], fewer], candidates=changes(0.1), base=BASE, rate=rate).thresholds["patchcore"]
    standardised = (np.arange(10.0, 20.0).repeat(2) - 10) / 1.4826  # of two categories
    assert (standardised > found.value).sum() == above
    assert found.count == 8  # good test images: 4 of each
    assert found.rule == f"fpr@{rate:g} on development categories"


def test_what_it_was_designed_on_is_noted(sets: list[Manifest], told: Any) -> None:
    told(lambda *_: {"image_auroc": 0.7, "aupro_030": 0.7}, [10.0])
    found = design(sets, candidates=changes(0.1), base=BASE)
    assert [(dev.category, dev.manifest_sha256) for dev in found.origin.dev] == [
        (manifest.category, manifest.content_hash()) for manifest in sets
    ]
    for dev, manifest in zip(found.origin.dev, sets, strict=True):
        assert dev.images is not None
        assert [image.id for image in dev.images] == [sample.id for sample in manifest.samples]
    with pytest.raises(DataError, match="no development category") as refused:
        design([], candidates=changes(0.1), base=BASE)
    assert refused.value.hint


def test_how_far_it_is_is_told_to_the_end(sets: list[Manifest], told: Any) -> None:
    told(lambda *_: {"image_auroc": 0.7, "aupro_030": 0.7}, [10.0])
    steps: list[tuple[str, int, int]] = []
    work = Work(on_progress=lambda *step: steps.append(step))
    design(sets, candidates=changes(0.1, 0.2), base=BASE, seeds=(0, 1, 2), work=work)
    assert steps == [("candidates", done, 12) for done in range(1, 13)]


def test_a_trial_has_the_cores_and_the_memory_of_the_work_and_tells_nothing(
    sets: list[Manifest], told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told(lambda *_: {"image_auroc": 0.7, "aupro_030": 0.7}, [10.0])
    given: list[Work] = []
    tell = module.run_trial
    monkeypatch.setattr(module, "run_trial", lambda *a, work: given.append(work) or tell(*a))
    work = Work(cores=1, memory_bytes=1 << 30, on_progress=lambda *_: None)
    design(sets[:1], candidates=changes(0.1), base=BASE, work=work)
    assert given == [work.quiet()]
    assert given[0].on_progress is None


def test_without_candidates_the_usual_methods_offer_theirs(sets: list[Manifest], told: Any) -> None:
    tried = told(lambda *_: {"image_auroc": 0.7, "aupro_030": 0.7}, [10.0])
    found = design(sets[:1], base=BASE)
    assert set(found.pipelines) == set(METHODS)
    assert len(tried) == sum(len(list_candidates()[kind]) for kind in METHODS)
    for kind in METHODS:
        assert dict(list_candidates()[kind][0]) == {}  # a method's default is tried first, and wins a tie
        assert found.pipelines[kind] == BASE.with_detector(kind, {})


def test_candidates_are_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "candidates.yaml"
    path.write_text(yaml.safe_dump({"patchcore": [{}, {"detector": {"coreset": 0.1}}], "padim": [{}]}))
    assert read_candidates(path) == {"patchcore": ({}, {"detector": {"coreset": 0.1}}), "padim": ({},)}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "names no method"),
        ([1], "names no method"),
        ({"patchcore": {}}, "patchcore has no list of changes"),
        ({"patchcore": []}, "patchcore has no list of changes"),
        ({"patchcore": [{"detectr": {}}]}, "unknown key 'detectr' .did you mean 'detector'"),
        ({"padim": ["detector"]}, "padim"),
    ],
)
def test_a_file_of_something_else_is_refused_naming_it(tmp_path: Path, content: Any, said: str) -> None:
    path = tmp_path / "candidates.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigError, match=said) as refused:
        read_candidates(path)
    assert str(path) in str(refused.value)
