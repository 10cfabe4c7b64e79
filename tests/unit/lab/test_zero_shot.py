"""Without one good image: the flawed pictures come first, a broken file is named, nothing is promised."""

import json
from pathlib import Path

import pytest
from tests.support import part_picture, with_flaw

import kizu.lab.zero_shot as module
from kizu.core.errors import DataError, ImageError
from kizu.data.listing import list_images
from kizu.imaging.codec import encode_png
from kizu.lab.zero_shot import ZeroShotConfig, rank_images, write_ranking

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
    monkeypatch.setattr(module, "BATCH", batch)
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
    broken: dict[str, str] = {}
    ranked = rank_images(list_images(folder), CONFIG, on_broken=broken)
    write_ranking(tmp_path / "out", ranked, broken, CONFIG, overlays=2)
    rows = [json.loads(line) for line in (tmp_path / "out/ranking.jsonl").read_text().splitlines()]
    assert [row.get("rank") for row in rows] == [*range(1, 12), None]
    assert "03.png" in rows[-1]["image_path"]
    assert rows[0]["needs_a_batch"] is True
    assert len(list((tmp_path / "out/overlays").iterdir())) == 2


def test_two_pictures_are_no_batch(folder: Path) -> None:
    with pytest.raises(DataError, match="2 image"):
        rank_images(list_images(folder)[:2], CONFIG)
