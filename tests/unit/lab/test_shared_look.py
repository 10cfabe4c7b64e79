"""What methods see by a shared look is what their own pipelines see."""

import numpy as np
import pytest
from tests.support import BASE, category

from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Manifest
from kizu.lab.painted import FlawPlan, paint_held, part_good
from kizu.lab.search_space import Contender, default_contender
from kizu.lab.shared_look import Pictures, PlacedPictures, Seen, SharedLook, bank_growth
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import PlacedImages


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return category(tmp_path_factory.mktemp("set"), "plate", 0)


@pytest.fixture(scope="module")
def pictures(plate: Manifest) -> Pictures:
    parted = part_good(plate, BASE, 3)
    painted = paint_held(parted, FlawPlan(("chip", "dent"), (10,)), BASE)
    return Pictures(parted.fit, tuple(parted.numbers(parted.fit)), painted, parted.count)


def contender(kind: str, **settings: object) -> Contender:
    one = default_contender(BASE)
    return Contender(one.look, one.config.with_detector(kind, settings), settings)


def tried(one: Contender, pictures: Pictures) -> Seen:
    shared = SharedLook(one.look, one.config.detector.patch_size, Work())
    (seen,) = shared.try_all([one], PlacedPictures(pictures), accepts=lambda *_: True, goes_on=lambda: True)
    return seen


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("patchcore", {"coreset": 0.2}),
        ("padim", {}),
        ("padim", {"features": 12}),
        ("mahalanobis", {}),
        ("subspace", {}),
        ("patch_knn", {}),
    ],
)
def test_scores_are_those_of_the_pipeline_itself(
    kind: str, settings: dict[str, object], pictures: Pictures
) -> None:
    one = contender(kind, **settings)
    seen = tried(one, pictures)
    placement = one.config.placement
    batches = [batch.images for batch in stream(pictures.fit, placement)]
    groups = pictures.groups if one.config.detector.leaves_out else None
    own = UnfittedPipeline.prepare(one.config).fit(
        PlacedImages(len(pictures.fit), batches, groups), "fit", Work()
    )
    expected = np.concatenate([own.score(b).image for b in pictures.painted.batches(placement)])
    assert seen.judged.scores == pytest.approx(expected, rel=1e-4)
    assert seen.worth == pytest.approx(seen.judged.auroc())
    assert seen.latency_ms > 0
    assert seen.memory_bytes > 1 << 20


def test_methods_share_one_pass_of_the_network(pictures: Pictures, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SharedLook(contender("patchcore").look, 3, Work())
    embedded: list[int] = []
    embed = shared.embedder.embed

    def counted(images: np.ndarray) -> np.ndarray:
        embedded.append(len(images))
        return embed(images)

    monkeypatch.setattr(shared.embedder, "embed", counted)
    monkeypatch.setattr(shared, "latency_ms", lambda _: 1.0)
    members = [contender("patchcore", coreset=part) for part in (0.1, 0.2, 0.3)]
    placed = PlacedPictures(pictures)
    found = shared.try_all(members, placed, accepts=lambda *_: True, goes_on=lambda: True)
    assert [one.contender for one in found] == members
    black = 1  # asked once for its grid
    assert sum(embedded) == len(pictures.fit) + pictures.painted.image_count + black


def test_what_is_not_accepted_is_not_judged_and_time_that_is_up_ends_it(pictures: Pictures) -> None:
    members = [contender("patchcore", coreset=part) for part in (0.1, 0.2, 0.3)]
    shared = SharedLook(members[0].look, 3, Work())
    turns = iter([True, False])
    found = shared.try_all(
        members,
        PlacedPictures(pictures),
        accepts=lambda one, seconds: one.contender is not members[0] and seconds > 0,
        goes_on=lambda: next(turns),
    )
    assert [one.contender for one in found] == [members[1]]


def test_pictures_of_one_size_are_placed_once(pictures: Pictures) -> None:
    placed = PlacedPictures(pictures)
    placement = default_contender(BASE).look.placement
    assert placed.at(placement) is placed.at(placement)
    for side in (32, 48):
        placed.at(placement.model_copy(update={"image_size": (side, side)}))
    assert len(placed._kept) == 2


def test_a_bank_grows_with_the_pictures_and_nothing_else_does() -> None:
    bank = contender("patchcore", coreset=0.5)
    assert bank_growth(bank, 10_000, 40_000) == 4
    assert bank_growth(bank, 1_000, 2_000) == 2  # so few are kept whole
    assert bank_growth(contender("patchcore", coreset_size=50), 10_000, 40_000) == 1
    assert bank_growth(contender("padim"), 10_000, 40_000) == 1


def test_a_picture_is_timed_with_the_bank_of_all(pictures: Pictures) -> None:
    seen = tried(contender("patchcore"), pictures)
    image = next(pictures.painted.batches(seen.contender.look.placement))[:1]
    assert seen.time_once(image) > 0
