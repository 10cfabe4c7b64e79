"""TIFF files of half precision: written and read without a change, or refused with what to install."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from kizu.core.errors import ImageError, MissingExtraError
from kizu.imaging import half
from kizu.imaging.half import read_tiff, write_half


def test_what_is_written_is_read_by_others_as_it_was(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(50, 41)).astype(np.float16)
    write_half(tmp_path / "new" / "a.tiff", values)
    with tifffile.TiffFile(tmp_path / "new" / "a.tiff") as file:
        assert len(file.pages) == 1
        assert file.pages[0].compression == 1
        assert file.pages[0].dtype == np.float16
    assert np.array_equal(tifffile.imread(tmp_path / "new" / "a.tiff"), values)
    assert np.array_equal(read_tiff(tmp_path / "new" / "a.tiff"), values)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.tiff"]


@pytest.mark.parametrize("content", [b"", b"no picture", b"II*\0\xff\xff\xff\xff", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_tiff_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.tiff").write_bytes(content)
    with pytest.raises(ImageError, match=r"a\.tiff: cannot be read as TIFF") as caught:
        read_tiff(tmp_path / "a.tiff")
    assert caught.value.path == tmp_path / "a.tiff"


def test_without_the_library_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(half, "find_spec", lambda _: None)
    for call in (lambda: write_half(tmp_path / "a.tiff", np.zeros((2, 2), np.float16)), half.ensure_tifffile):
        with pytest.raises(MissingExtraError) as caught:
            call()
        assert caught.value.hint == "pip install 'kizu[submit]'"
    assert not (tmp_path / "a.tiff").exists()
