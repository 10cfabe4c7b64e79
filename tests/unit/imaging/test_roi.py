"""Where flaws count: polygons in pixels or fractions, or a picture of any size."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import ConfigError
from kizu.imaging.codec import encode_png
from kizu.imaging.roi import Area, Roi, read_roi

SQUARE = [[10, 20], [29, 20], [29, 39], [10, 39]]


def written(path: Path, **told: object) -> Path:
    path.write_text(json.dumps(told))
    return path


def test_polygons_in_pixels_and_in_fractions(tmp_path: Path) -> None:
    pixels = read_roi(written(tmp_path / "a.json", polygons=[SQUARE]), None)
    fractions = read_roi(
        written(tmp_path / "b.json", polygons=[(np.array(SQUARE) / (60, 80)).tolist()], unit="fraction"), None
    )
    expected = np.zeros((80, 60), bool)
    expected[20:40, 10:30] = True
    assert pixels is not None
    assert fractions is not None
    np.testing.assert_array_equal(pixels.mask((80, 60)), expected)
    np.testing.assert_array_equal(fractions.mask((80, 60)), expected)
    assert fractions.mask((160, 120)).mean() == pytest.approx(expected.mean(), rel=0.1)
    assert pixels != fractions


def test_a_picture_is_taken_to_the_size_of_the_image_and_what_is_ignored_is_taken_out(tmp_path: Path) -> None:
    picture = np.zeros((4, 4), bool)
    picture[:, 2:] = True
    encode_png(tmp_path / "roi.png", picture)
    roi = read_roi(
        tmp_path / "roi.png", written(tmp_path / "i.json", polygons=[[[0, 0], [39, 0], [39, 9], [0, 9]]])
    )
    assert roi is not None
    mask = roi.mask((20, 40))
    assert mask[10:, 20:].all()
    assert not mask[:, :20].any()
    assert not mask[:10].any()
    alone = read_roi(None, tmp_path / "roi.png")
    assert alone is not None
    assert alone.mask((4, 4)).tolist() == (~picture).tolist()
    assert read_roi(None, None) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "holds no polygons"),
        ('{"shapes": []}', "holds no polygons"),
        ('{"polygons": []}', "holds no polygon"),
        ('{"polygons": [[[1, 2], [3, 4]]]}', "polygon 1 is not a list of at least three"),
        ('{"polygons": [[[1, 2], [3, 4], [5, 6]]], "unit": "inch"}', "unit 'inch'"),
    ],
)
def test_what_is_no_polygon_names_the_file(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "wrong.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"wrong\.json") as refused:
        read_roi(path, None)
    assert said in refused.value.message
    with pytest.raises(ConfigError, match="cannot read"):
        read_roi(tmp_path / "none.json", None)


def half(side: str) -> Roi:
    picture = np.zeros((4, 4), bool)
    picture[:, :2] = side == "left"
    picture[:, 2:] = side == "right"
    return Roi(Area(picture=picture))


def test_regions_made_in_python_are_told_apart_by_their_content() -> None:
    left, right = half("left"), half("right")
    assert left != right
    assert left.mask((4, 4))[:, :2].all()
    assert right.mask((4, 4))[:, 2:].all()
    assert not right.mask((4, 4))[:, :2].any()
    assert left == half("left")
    assert hash(left) == hash(half("left"))
    assert Roi(ignore=left.include) != left
    assert Roi(Area((np.array(SQUARE),))) != Roi(Area((np.array(SQUARE),), is_relative=True))
    assert Roi(Area((np.array(SQUARE),))) == Roi(Area((np.array(SQUARE, np.float64),)))
    assert Roi() != left


def test_a_region_does_not_follow_the_arrays_it_was_made_from() -> None:
    picture, corners = np.zeros((4, 4), np.uint8), np.array(SQUARE, np.float64)
    picture[0] = 255
    roi = Roi(Area(picture=picture), Area((corners,)))
    before, sha256 = roi.mask((8, 8)).copy(), roi.sha256
    picture[:], corners[:] = 1, 0
    assert roi.mask((8, 8)).tolist() == before.tolist()
    assert roi.mask((12, 12)).dtype == np.bool_
    assert roi.sha256 == sha256
    assert not roi.mask((12, 12))[4:].any()


@pytest.mark.parametrize("roi", [half("left"), Roi(None, Area((np.array(SQUARE),))), Roi()])
def test_a_region_survives_pickling(roi: Roi) -> None:
    again = pickle.loads(pickle.dumps(roi))  # noqa: S301
    assert again == roi
    assert again.sha256 == roi.sha256
    np.testing.assert_array_equal(again.mask((40, 50)), roi.mask((40, 50)))


def test_the_hash_of_what_is_read_from_files_stays_what_earlier_inspections_wrote(tmp_path: Path) -> None:
    polygons = read_roi(written(tmp_path / "a.json", polygons=[SQUARE]), None)
    picture = np.zeros((4, 4), bool)
    picture[:, 2:] = True
    encode_png(tmp_path / "roi.png", picture)
    both = read_roi(tmp_path / "roi.png", tmp_path / "a.json")
    assert polygons is not None
    assert both is not None
    assert (polygons.sha256, both.sha256) == (
        "9171a9a3c5656d94ed1296449d14ee12bea0786ccfc874c3e81e2ed6ea4233eb",
        "2115adf3d40ea6f3e11a432e121c77bc25c90a47c3fdfc93daaeea832a77ecd1",
    )


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\0", b"\xff", b"[" * 100_000, b'{"polygons": [[[%s, 0], [0, 0], [1, 1]]]}' % (b"9" * 400)],
)
def test_a_file_that_no_number_can_be_read_from_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "roi.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"roi\.json"):
        read_roi(tmp_path / "roi.json", None)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"polygons": [[[0.1, 0.1], [0.9, 0.1], [0.9, 0.9]]]}, "all corners lie in one pixel"),
        ({"polygons": [[[-9, 3], [-1, 3], [-1, 8]]]}, "outside of every picture"),
        ({"polygons": [[[10, 10], [90, 10], [90, 90]]], "unit": "fraction"}, "outside of every picture"),
    ],
)
def test_an_area_that_lies_in_no_picture_is_refused(tmp_path: Path, told: dict, said: str) -> None:
    path = written(tmp_path / "roi.json", **told)
    for given in ((path, None), (None, path)):
        with pytest.raises(ConfigError, match=said) as caught:
            read_roi(*given)
        assert '"fraction"' in (caught.value.hint or "")


def test_a_picture_that_marks_nothing_is_refused(tmp_path: Path) -> None:
    encode_png(tmp_path / "roi.png", np.zeros((4, 4), bool))
    with pytest.raises(ConfigError, match=r"roi\.png marks nothing"):
        read_roi(tmp_path / "roi.png", None)
