import numpy as np
import pytest
from tests.support import fit

from kizu.core.types import U8
from kizu.detectors.patchcore import FittedPatchcore
from kizu.detectors.registry import detector_config, make_detector
from kizu.pipeline.opened import Pipeline


def fitted(images: U8, **settings: object) -> Pipeline:
    return fit(make_detector(detector_config({"kind": "patchcore", "coreset": 0.1, **settings})), images)


def inside(pipeline: Pipeline) -> FittedPatchcore:
    assert isinstance(pipeline.fitted, FittedPatchcore)
    return pipeline.fitted


def equation_7(patches: np.ndarray, bank: np.ndarray, b: int) -> float:
    """The paper's text, step by step, in float64. `patches`: (P, D) of one image."""
    distances = np.linalg.norm(patches[:, None].astype(float) - bank[None], axis=2)  # (P, M)
    worst = int(distances.min(axis=1).argmax())
    m_star = int(distances[worst].argmin())
    around = np.argsort(np.linalg.norm(bank.astype(float) - bank[m_star], axis=1))[:b]
    weight = 1 - np.exp(distances[worst, m_star]) / np.exp(distances[worst, around]).sum()
    return float(weight * distances[worst, m_star])


@pytest.mark.parametrize("b", [2, 9])
def test_the_reweighted_score_is_equation_7(good_pictures: U8, b: int) -> None:
    detector = fitted(good_pictures[:12], image_score="reweighted_max", neighbours=b)
    images = good_pictures[12:17]
    scores = detector.score(images).image
    embedding = detector.embed(images)
    for index in range(len(images)):
        patches = embedding[index].reshape(-1, embedding.shape[-1])
        assert scores[index] == pytest.approx(equation_7(patches, inside(detector).bank.vectors, b), rel=1e-3)


def test_distances_far_beyond_exp_do_not_overflow(good_pictures: U8) -> None:
    detector = fitted(good_pictures[:4], image_score="reweighted_max")
    queries = inside(detector).bank.vectors[:2] + np.float32(1e4)
    distance = np.linalg.norm(queries - inside(detector).bank.vectors[:2], axis=1)
    weighted = inside(detector)._reweight(queries, np.array([0, 1]), distance)
    assert np.isfinite(weighted).all()


def test_one_neighbour_leaves_the_score_as_it_is(good_pictures: U8) -> None:
    alone = fitted(good_pictures[:4], image_score="reweighted_max", neighbours=1)
    plain = fitted(good_pictures[:4], image_score="max_patch")
    assert (alone.score(good_pictures[5:8]).image == plain.score(good_pictures[5:8]).image).all()


def test_the_bank_is_made_of_good_patches_and_has_the_size_that_was_asked(good_pictures: U8) -> None:
    detector = fitted(good_pictures[:6])
    embedding = detector.embed(good_pictures[:6])
    patches = embedding.reshape(-1, embedding.shape[-1])
    assert len(inside(detector).bank.vectors) == round(len(patches) * 0.1)
    assert all((patches == vector).all(axis=1).any() for vector in inside(detector).bank.vectors)


def test_a_training_patch_in_the_bank_has_distance_zero(good_pictures: U8) -> None:
    whole = fitted(good_pictures[:3], coreset=1.0, image_score="max_patch")
    assert whole.score(good_pictures[:3]).image == pytest.approx(np.zeros(3), abs=1e-4)
