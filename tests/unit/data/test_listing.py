"""What a line inspects: any images, nothing known about them."""

from pathlib import Path

import pytest

from kizu.core.errors import DataError
from kizu.data.listing import list_images, list_named_images


def test_images_are_found_at_any_depth_and_others_are_not(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "sub/c.tif", "sub/.hidden.png", ".cache/d.png", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = list_images(tmp_path)
    assert [s.id for s in found] == ["a.jpeg", "b.PNG", "sub/c.tif"]
    assert all(s.path.is_file() and s.label is None and s.split is None for s in found)


def test_one_file_is_a_list_of_one(tmp_path: Path) -> None:
    (tmp_path / "x.png").touch()
    assert [s.id for s in list_images(tmp_path / "x.png")] == ["x.png"]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match="no image in") as caught:
        list_images(tmp_path)
    assert ".txt" in (caught.value.hint or "")
    with pytest.raises(DataError, match="does not exist"):
        list_images(tmp_path / "missing")


def test_a_list_with_nul_characters_is_no_text() -> None:
    with pytest.raises(DataError, match="NUL characters"):
        list_named_images(["a.png", "b\0.png"])
    with pytest.raises(DataError, match=r"x\.txt is no text"):
        list_named_images(["b\0.png"], name="x.txt")
