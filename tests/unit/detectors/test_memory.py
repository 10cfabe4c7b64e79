"""What a method says a fit will hold is about what NumPy really allocates; the sizes let each term matter in turn."""

import gc
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kizu.core.randomness import rng_for
from kizu.core.types import F32
from kizu.core.work import Work
from kizu.detectors.base import Embeddings
from kizu.detectors.registry import detector_config, make_detector

ROOMY, NONE = 1 << 40, 0
"""Bytes that features may take before they go to disk."""
BATCH = 8

RANDOM = {"kind": "patchcore", "coreset_method": "random"}
PADIM, MAHALANOBIS = {"kind": "padim"}, {"kind": "mahalanobis"}

CASES: dict[str, tuple[dict[str, Any], int, int, int, int]] = {
    # settings, images, patches to a side, features, budget
    "features": ({**RANDOM, "coreset_size": 50}, 400, 16, 64, ROOMY),
    "half of the patches": ({**RANDOM, "coreset": 0.5}, 200, 16, 64, NONE),
    "half of the patches, features as far as they fit": ({**RANDOM, "coreset": 0.5}, 200, 16, 64, 6 << 20),
    "the search's notes of each patch": ({"kind": "patchcore", "coreset_size": 20}, 400, 32, 4, NONE),
    "features, and projected ones": (
        {"kind": "patchcore", "coreset_size": 50, "projection": 62}, 600, 16, 64, ROOMY,
    ),
    "all patches": ({"kind": "patch_knn"}, 100, 16, 64, ROOMY),
    "directions": ({"kind": "patch_knn", "coreset_method": "random", "coreset_size": 50}, 400, 16, 64, ROOMY),
    "full covariances": (PADIM, 2, 20, 100, ROOMY),
    "embeddings of an update": (PADIM, 64, 32, 16, ROOMY),
    "full covariances that can be updated": ({**PADIM, "keep_moments": True}, 2, 20, 100, ROOMY),
    "diagonal covariances": ({**PADIM, "covariance": "diagonal"}, 1, 64, 100, ROOMY),
    "directions of each position": ({**PADIM, "covariance": "low_rank", "rank": 50}, 52, 32, 64, ROOMY),
    "features that low rank looks at together": ({**PADIM, "covariance": "low_rank", "rank": 1}, 200, 20, 64, ROOMY),
    "features to choose from": ({**PADIM, "feature_choice": "variance", "features": 20}, 300, 16, 64, ROOMY),
    "two large matrices": (MAHALANOBIS, 8, 8, 700, ROOMY),
    "two large matrices, one of twice the size": ({**MAHALANOBIS, "pooling": "mean_std"}, 8, 8, 500, ROOMY),
    "a block of patches": (MAHALANOBIS, 64, 16, 64, ROOMY),
    "one large matrix": ({"kind": "subspace"}, 8, 8, 800, ROOMY),
    "a block of patches for one matrix": ({"kind": "subspace"}, 64, 16, 64, ROOMY),
    "members": (
        {"kind": "ensemble", "members": [MAHALANOBIS, {**MAHALANOBIS, "pooling": "mean_std"}]}, 8, 8, 400, ROOMY,
    ),
    "features that members share": (
        {"kind": "ensemble", "members": [MAHALANOBIS, {"kind": "subspace"}]}, 400, 16, 64, ROOMY,
    ),
}  # fmt: skip


def allocated(settings: dict[str, Any], count: int, side: int, dim: int, budget: int) -> int:
    """Bytes at the peak of a fit. What lies in a file is not among them."""
    rng = np.random.default_rng(0)

    def batches() -> Iterator[F32]:
        for start in range(0, count, BATCH):
            yield rng.standard_normal((min(BATCH, count - start), side, side, dim), dtype=np.float32)

    detector = make_detector(detector_config(settings))
    embeddings = Embeddings(batches(), count, (8 * side, 8 * side))
    gc.collect()
    tracemalloc.start()
    try:
        detector.fit(embeddings, rng=rng_for(0, "fit"), work=Work(memory_bytes=budget))
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("case", CASES)
def test_a_fit_holds_about_what_was_said(case: str) -> None:
    settings, count, side, dim, budget = CASES[case]
    said = make_detector(detector_config(settings)).memory_bytes(count, side * side, dim, budget)
    assert 0.5 < said / allocated(*CASES[case]) < 2.8


@pytest.mark.parametrize("settings", [MAHALANOBIS, {"kind": "subspace"}, PADIM], ids=lambda s: s["kind"])
def test_what_learns_in_one_pass_holds_no_more_for_more_images(settings: dict[str, Any]) -> None:
    few, many = (allocated(settings, count, 8, 40, ROOMY) for count in (64, 640))
    assert many < 1.1 * few
    detector = make_detector(detector_config(settings))
    assert detector.memory_bytes(640, 64, 40, ROOMY) == detector.memory_bytes(64, 64, 40, ROOMY)


@pytest.mark.parametrize(
    "settings",
    [{**RANDOM, "coreset_size": 50}, {"kind": "ensemble", "members": [MAHALANOBIS, {"kind": "subspace"}]}],
    ids=["patchcore", "ensemble"],
)
def test_features_on_disk_are_neither_held_nor_counted(settings: dict[str, Any]) -> None:
    features = 800 * 256 * 64 * 4
    said = make_detector(detector_config(settings)).memory_bytes(800, 256, 64, NONE)
    assert allocated(settings, 800, 16, 64, ROOMY) > features
    assert allocated(settings, 800, 16, 64, NONE) < features / 4
    assert said < features / 4


def test_more_directions_hold_so_much_more() -> None:
    """In a fit of low rank everything else grows with the images, so only the difference tells."""
    many, few = ({**PADIM, "covariance": "low_rank", "rank": rank} for rank in (60, 1))
    sizes = (62, 20, 64)
    said = [make_detector(detector_config(s)).memory_bytes(62, 400, 64, ROOMY) for s in (many, few)]
    held = [allocated(s, *sizes, ROOMY) for s in (many, few)]
    assert 0.5 < (said[0] - said[1]) / (held[0] - held[1]) < 2


def test_few_images_that_are_learned_turned_count_four_times() -> None:
    settings = {"kind": "patch_knn", "turn_up_to": 8}
    turned, plain = (
        make_detector(detector_config({**settings, "turn_up_to": up_to})).memory_bytes(8, 256, 64, ROOMY)
        for up_to in (8, 7)
    )
    assert turned == 4 * plain
