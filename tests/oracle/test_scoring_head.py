"""The head's gradient against finite differences, its optimiser against torch's formula written out, in float64."""

import numpy as np
import pytest

from kizu.scoring.head import AdamW, Bag, Labelled, Parameters, logits, loss_and_gradient, make_parameters


def problem(seed: int, bags: int) -> tuple[Parameters, Labelled, list[Bag]]:
    rng = np.random.default_rng(seed)
    parameters = tuple(p.astype(np.float64) for p in make_parameters((6, 5, 4), rng))
    parameters = tuple(p + 0.1 * rng.standard_normal(p.shape) for p in parameters)
    x = rng.standard_normal((20, 6))
    labelled = Labelled(x, rng.integers(0, 2, 20).astype(float), rng.uniform(0.1, 1, 20))
    return parameters, labelled, [Bag(rng.standard_normal((9, 6)), 3, 0.7) for _ in range(bags)]


@pytest.mark.parametrize("bags", [0, 2])
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_finite_differences(seed: int, bags: int) -> None:
    parameters, labelled, unmarked = problem(seed, bags)
    _, gradient = loss_and_gradient(parameters, labelled, unmarked)
    step = 1e-6
    for index, values in enumerate(parameters):
        for place in np.ndindex(values.shape):
            losses = []
            for sign in (1, -1):
                moved = [p.copy() for p in parameters]
                moved[index][place] += sign * step
                losses.append(loss_and_gradient(tuple(moved), labelled, unmarked)[0])
            assert gradient[index][place] == pytest.approx((losses[0] - losses[1]) / (2 * step), abs=1e-7)


def test_the_loss_is_the_weighted_mean_of_cross_entropies() -> None:
    parameters, labelled, bags = problem(0, 1)
    z = logits(parameters, labelled.x)
    chance = 1 / (1 + np.exp(-z))
    each = -np.log(np.where(labelled.y == 1, chance, 1 - chance))
    highest = np.sort(logits(parameters, bags[0].x))[-3:].mean()
    total = (labelled.weight * each).sum() + 0.7 * np.log1p(np.exp(-highest))
    expected = total / (labelled.weight.sum() + 0.7)
    assert loss_and_gradient(parameters, labelled, bags)[0] == pytest.approx(expected)


def test_logits_far_from_zero_do_not_overflow() -> None:
    parameters, labelled, bags = problem(0, 1)
    far = tuple(1e3 * p for p in parameters)
    loss, gradient = loss_and_gradient(far, labelled, bags)
    assert np.isfinite(loss)
    assert all(np.isfinite(g).all() for g in gradient)


def test_adamw_takes_the_steps_of_its_paper() -> None:
    rng = np.random.default_rng(0)
    parameters = (rng.standard_normal((3, 2)), rng.standard_normal(2))
    rate, decay = 0.01, 0.1
    optimiser, expected = AdamW(rate, decay), [p.copy() for p in parameters]
    first, second = ([np.zeros_like(p) for p in parameters] for _ in range(2))
    for step in range(1, 6):
        gradient = tuple(rng.standard_normal(p.shape) for p in parameters)
        parameters = optimiser.update(parameters, gradient)
        for i, g in enumerate(gradient):
            first[i] = 0.9 * first[i] + 0.1 * g
            second[i] = 0.999 * second[i] + 0.001 * g**2
            if expected[i].ndim == 2:
                expected[i] *= 1 - rate * decay
            hat = first[i] / (1 - 0.9**step)
            expected[i] -= rate * hat / (np.sqrt(second[i] / (1 - 0.999**step)) + 1e-8)
    for found, wanted in zip(parameters, expected, strict=True):
        assert found == pytest.approx(wanted, rel=1e-12)


def test_a_few_steps_tell_two_clouds_apart() -> None:
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(0, 1, (200, 4)), rng.normal(2.5, 1, (200, 4))]).astype(np.float32)
    y = np.repeat([0, 1], 200).astype(np.float32)
    parameters, optimiser = make_parameters((4, 8), rng), AdamW(0.02, 0.0)
    for _ in range(150):
        _, gradient = loss_and_gradient(parameters, Labelled(x, y, np.ones(400, np.float32)))
        parameters = optimiser.update(parameters, gradient)
    assert ((logits(parameters, x) > 0) == (y == 1)).mean() > 0.95
