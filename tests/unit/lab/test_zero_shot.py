"""Without one good image: the flawed pictures come first, a broken file is named, nothing is promised."""

import json
from pathlib import Path

import pytest
from tests.support import part_picture, with_flaw

import kizu.lab.zero_shot as module
from kizu.core.errors import DataError, ImageError
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.data.batches import LeftOut
from kizu.data.listing import list_images
from kizu.imaging.codec import encode_png
from kizu.lab.zero_shot import ZeroShotConfig, group_items, rank_images, write_ranking

CONFIG = ZeroShotConfig.parse(
    {"embedding": {"backbone": "tiny"}, "placement": {"image_size": 64}}, where="test"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(12):
        picture = part_picture(number)
        encode_png(
            tmp_path / "in" / f"{number:02}.png", with_flaw(picture, 20, 30) if number == 7 else picture
        )
    return tmp_path / "in"


@pytest.mark.parametrize("batch", [128, 6])
def test_the_flawed_picture_comes_first_and_its_map_shows_where(
    folder: Path, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "JUDGED_TOGETHER", batch)
    ranked = rank_images(list_images(folder), CONFIG)
    assert len(ranked) == 12
    assert ranked[0].sample.path.name == "07.png"
    y, x = divmod(int(ranked[0].map.argmax()), 64)
    assert 12 <= y < 40
    assert 22 <= x < 50


def test_a_broken_file_is_named_and_the_rest_is_ranked(folder: Path, tmp_path: Path) -> None:
    (folder / "03.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"03\.png"):
        rank_images(list_images(folder), CONFIG)
    left_out = LeftOut()
    ranked = rank_images(list_images(folder), CONFIG, left_out=left_out)
    write_ranking(tmp_path / "out", ranked, left_out, CONFIG, overlays=2)
    rows = [json.loads(line) for line in (tmp_path / "out/ranking.jsonl").read_text().splitlines()]
    assert [row.get("rank") for row in rows] == [*range(1, 12), None]
    assert "03.png" in rows[-1]["image_path"]
    assert rows[0]["needs_a_batch"] is True
    assert len(list((tmp_path / "out/overlays").iterdir())) == 2


def test_two_pictures_are_no_batch(folder: Path) -> None:
    with pytest.raises(DataError, match="2 image"):
        rank_images(list_images(folder)[:2], CONFIG)


@pytest.mark.parametrize(
    "broken",
    [
        (),
        (0,),
        (5,),
        (0, 1, 2, 3),
        (1, 2, 4, 5),
        (2, 3, 4, 5, 6, 7, 8),
        (0, 1, 2, 3, 4, 5, 6, 7, 8),
        (4, 5, 6, 7),
        (3, 7, 11),
    ],
)
@pytest.mark.parametrize("batch", [4, 5, 6])
def test_every_picture_is_ranked_or_named_wherever_the_broken_ones_lie(
    folder: Path, batch: int, broken: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "JUDGED_TOGETHER", batch)
    samples = list_images(folder)
    order = rng_for(CONFIG.seed, "zero shot").permutation(len(samples))
    for place in broken:  # in the order in which they are judged, so that whole batches may be broken
        samples[order[place]].path.write_bytes(b"no picture")
    left_out = LeftOut()
    told: list[tuple[int, int]] = []
    work = Work(on_progress=lambda _, done, total: told.append((done, total)))
    ranked = rank_images(samples, CONFIG, left_out=left_out, work=work)
    named = {str(sample.path) for sample in left_out.reasons}
    assert len(named) == len(broken)
    assert {str(item.sample.path) for item in ranked} | named == {str(s.path) for s in samples}
    assert len(ranked) + len(named) == len(samples)
    assert told[-1] == (12, 12)


@pytest.mark.parametrize("readable", [0, 1, 2])
def test_fewer_than_three_readable_pictures_are_no_batch(folder: Path, readable: int) -> None:
    for path in sorted(folder.iterdir())[readable:]:
        path.write_bytes(b"no picture")
    with pytest.raises(DataError, match=f"{readable} image"):
        rank_images(list_images(folder), CONFIG, left_out=LeftOut())


@pytest.mark.parametrize("sizes", [(4, 4), (3, 3, 3), (4, 3), (2, 2), (128, 127)])
def test_groups_are_never_too_small_and_lose_nothing(sizes: tuple[int, ...]) -> None:
    for count in range(sum(sizes) + 1):
        groups = list(group_items(range(count), sizes))
        assert [item for group in groups for item in group] == list(range(count))
        assert count < 3 or min(map(len, groups)) >= 3
        assert count < 3 or max(map(len, groups)) <= max(sizes) + 2
        if count == sum(sizes) and min(sizes) >= 3:
            assert tuple(map(len, groups)) == sizes
