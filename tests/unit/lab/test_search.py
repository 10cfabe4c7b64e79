"""A search finds the pipeline that is known to be the best, within its budget and its time, and says how sure it is."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from tests.support import CONFIG, smooth_surface

import kizu.lab.search_space as space
from kizu.core.errors import ConfigError
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.lab.budget import Budget
from kizu.lab.search import search
from kizu.lab.searched import Searched

SQUARES = (64, 128)
BASE = CONFIG.changed(
    {"placement": {"image_size": 64}, "detector": {"coreset": 1.0, "coreset_size": 100}}, where="test"
)


@pytest.fixture(scope="module", autouse=True)
def _few_methods() -> Iterator[None]:
    """Enough to choose among, and no search through all patches."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(space, "list_methods", lambda: ["patchcore", "padim", "mahalanobis"])
        yield


@pytest.fixture(scope="module")
def surface(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return smooth_surface(tmp_path_factory.mktemp("set"))


def find(surface: Manifest, budget: Budget = Budget(), **others: object) -> Searched:
    return search(
        surface,
        budget,
        base=BASE,
        backbones=["tiny"],
        smallest_px=6,
        squares=SQUARES,
        **{"seconds": 120.0, **others},  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def found(surface: Manifest) -> Searched:
    return find(surface)


def test_the_input_that_sees_the_flaws_is_found(found: Searched) -> None:
    winner = found.winner
    assert winner is not None
    assert winner is not found.default
    assert min(winner.contender.look.placement.image_size) > 64
    assert winner.worth > found.default.worth
    assert found.against(winner, found.default).low > 0
    assert "more than chance" in found.reason


def test_the_runner_up_is_told_with_the_difference(found: Searched) -> None:
    winner, second = found.winner, found.runner_up
    assert winner is not None
    assert second is not None
    assert second is not winner
    off = found.against(winner, second)
    assert off.low <= off.mean <= off.high
    assert off.mean == pytest.approx(winner.worth - second.worth, abs=0.05)


def test_finalists_are_in_order_and_the_default_is_among_them(found: Searched) -> None:
    worths = [one.worth for one in found.finalists]
    assert worths == sorted(worths, reverse=True)
    assert found.default in found.finalists
    assert found.default.contender.config.placement.image_size == (64, 64)
    assert found.default.contender.config.detector == BASE.detector
    assert 2 <= len(found.finalists) <= 7
    assert found.tried[0] >= found.tried[-1] or len(found.tried) == 1


def test_who_judges_was_never_fitted(found: Searched) -> None:
    assert found.count == 30
    assert found.fitted == 20
    assert found.judged_by == 10
    assert found.flaws == 10 * 6 * 4


def test_what_is_not_allowed_is_not_chosen(surface: Manifest) -> None:
    small = find(surface, Budget(pixels=64 * 64))
    assert small.winner is not None
    assert all(one.contender.look.placement.image_size <= (64, 64) for one in small.finalists)
    assert any("pixels" in why for why in small.beyond.values())
    nothing = find(surface, Budget(latency_ms=1e-6))
    assert nothing.winner is None
    assert nothing.runner_up is None
    assert nothing.reason == "nothing that was tried fits the budget"


def test_a_ratio_is_of_the_default_s_own_time(surface: Manifest) -> None:
    found = find(surface, Budget(latency_ratio=1.0))
    assert found.budget.latency_ms == pytest.approx(found.default.latency_ms)
    assert not found.exceeds(found.default)


def test_it_ends_early_with_what_it_knows(surface: Manifest, found: Searched) -> None:
    hurried = find(surface, seconds=1.0)
    assert hurried.not_tried > found.not_tried
    assert sum(hurried.tried) < sum(found.tried)
    assert hurried.default in hurried.finalists
    assert hurried.winner is not None


def test_rounds_grow_and_narrow(surface: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    import kizu.lab.search_rounds as module
    from kizu.lab.search_rounds import Round

    rounds = (Round(6, 3, 3, 0.5), Round(12, 6, 2, 0.8), Round(1000, 48, 1, 1.0))
    monkeypatch.setattr(module, "ROUNDS", rounds)
    told: list[str] = []
    found = find(surface, work=Work(on_progress=lambda stage, *_: told.append(stage)))
    assert len(found.tried) == 3
    assert found.tried[0] > found.tried[1] > found.tried[2]
    assert (found.fitted, found.judged_by) == (20, 10)
    assert {"round 1", "round 2", "round 3"} <= set(told)
    assert found.winner is not None
    assert min(found.winner.contender.look.placement.image_size) > 64


def test_the_same_seed_finds_the_same_and_test_images_are_not_looked_at(
    surface: Manifest, found: Searched
) -> None:
    again = find(replace(surface, samples=surface.train_good()))
    assert [(one.contender.name, one.worth) for one in again.finalists][:3] == [
        (one.contender.name, one.worth) for one in found.finalists
    ][:3]


def test_the_best_of_each_method_goes_on(surface: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method that wants more pictures than the first round has is not lost in it."""
    import kizu.lab.search as searching
    import kizu.lab.search_rounds as module
    from kizu.lab.search_rounds import Round

    rounds = (Round(6, 3, 3, 0.5), Round(1000, 48, 1, 1.0))
    monkeypatch.setattr(module, "ROUNDS", rounds)
    monkeypatch.setattr(searching, "FINALISTS", 99)
    found = find(surface)
    assert {"patchcore", "padim", "mahalanobis"} == {
        one.contender.config.detector.kind for one in found.finalists
    }


def test_tiles_are_refused(surface: Manifest) -> None:
    tiles = BASE.changed({"placement": {"image_size": 64, "resize": 128, "tile_overlap": 0.25}}, where="test")
    with pytest.raises(ConfigError, match="tiles"):
        search(surface, base=tiles, backbones=["tiny"])
