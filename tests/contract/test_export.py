"""What every method in the table does when it is drawn as a graph: the same as in Python, in both runtimes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import ALL, part_picture, with_flaw

from kizu.bundles.manifest import Bundle
from kizu.core.errors import ConfigError, ScoreError
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.lab.fit import Identity, Sides, fit_bundle
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.export import build_model
from kizu.pipeline.opened import PlacedImages, open_pipeline
from kizu.runtimes.model import GraphScorer, read_model

RUNTIMES = ("onnxruntime", "openvino")
INPUT_HW = (64, 96)


def pictures(first: int, count: int) -> U8:
    """Good parts at the network's size, which is not square."""
    return np.stack(
        [np.tile(part_picture(seed), (1, 2, 1))[:, : INPUT_HW[1]] for seed in range(first, first + count)]
    )


def fitted(settings: dict[str, Any]) -> Bundle:
    config = PipelineConfig.parse(
        {
            "detector": settings,
            "embedding": {"backbone": "tiny"},
            "placement": {"image_size": INPUT_HW},
        },
        where="test",
    )
    good, held = pictures(0, 8), pictures(8, 4)
    sides = Sides(PlacedImages(8, iter([good])), PlacedImages(4, iter([held])))
    return fit_bundle(config, sides, Identity("plate", "r", "drawn", "0")).bundle


@pytest.fixture(scope="module", params=ALL)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    bundle = fitted(ALL[request.param])
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    path.write_bytes(build_model(bundle, "a" * 64).SerializeToString())
    return bundle, path


def seen() -> U8:
    flawed = np.stack([with_flaw(picture, 20, 30) for picture in pictures(40, 2)])
    grey = np.full((1, *INPUT_HW, 3), 128, np.uint8)
    return np.concatenate([pictures(30, 2), flawed, grey, np.zeros_like(grey), pictures(0, 1)])


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_graph_scores_as_python_does(exported: tuple[Bundle, Path], runtime: str) -> None:
    bundle, path = exported
    images = seen()
    expected = open_pipeline(bundle).score(images)
    found = read_model(path).scorer(Work(runtime)).score(images)
    scale = np.abs(expected.image).max()
    np.testing.assert_allclose(found.image, expected.image, rtol=1e-4, atol=2e-4 * scale)
    np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-3, atol=5e-4 * expected.maps.max())


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_batch_is_each_image_by_itself(exported: tuple[Bundle, Path], runtime: str) -> None:
    _, path = exported
    images = seen()[:3]
    model = read_model(path)
    scorer = GraphScorer(model, Work(runtime))
    together = scorer._session.run({"image": images})  # in one call, as another program may
    alone = scorer.score(images)
    np.testing.assert_allclose(together["pred_score"], alone.image, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(together["anomaly_map"], alone.maps, rtol=1e-3, atol=1e-4)


def test_the_file_carries_the_whole_manifest(exported: tuple[Bundle, Path]) -> None:
    bundle, path = exported
    model = read_model(path)
    assert model.manifest == bundle.manifest
    assert model.bundle_sha256 == "a" * 64
    scorer = model.scorer()
    with pytest.raises(ScoreError, match="images must be"):
        scorer.score(np.zeros((1, 32, 32, 3), np.uint8))
    with pytest.raises(ScoreError, match="no image"):
        scorer.score(np.zeros((0, *INPUT_HW, 3), np.uint8))


def test_too_much_to_hold_is_refused_with_other_ways() -> None:
    bundle = fitted({"kind": "padim"})
    with pytest.raises(ConfigError, match="and a graph may hold 0") as refused:
        build_model(bundle, "0", max_constants_mb=0.01)
    assert "run the bundle itself" in (refused.value.hint or "")
