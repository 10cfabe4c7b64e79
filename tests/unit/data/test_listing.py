"""What a line inspects: any images, nothing known about them."""

import os
import time
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from tests.support import noise, noise_mask

from kizu.core.errors import DataError
from kizu.data import lots
from kizu.data.listing import list_good_images, list_images, list_named_images, read_list
from kizu.data.passed import Passed, Reason
from kizu.imaging.codec import encode_png, jpeg_bytes, png_bytes


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


def saved(format: str) -> bytes:
    stream = BytesIO()
    Image.fromarray(noise(0)).save(stream, format)
    return stream.getvalue()


def test_content_decides_what_is_an_image_and_the_rest_is_told_by_reason(tmp_path: Path) -> None:
    files = {
        "a.png": png_bytes(noise(0)), "b.jfif": jpeg_bytes(noise(1)), "c.jpe": jpeg_bytes(noise(2)),
        "without_suffix": png_bytes(noise(3)), "e.dib": saved("BMP"), "f.dat": saved("TIFF"), "g.x": saved("WEBP"),
        "h.gif": saved("GIF"), "i.ppm": saved("PPM"), "j.jp2": saved("JPEG2000"), "k.dib": saved("DIB"),
        "l.nef": saved("TIFF"), "m.png.part": png_bytes(noise(4)), "notes.txt": b"BMs and JPEGs", ".h.png": b"",
        "empty": b"", "n.xml": b"<x/>", "P5.txt": b"P5 is a format",
    }  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "linked").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.png")
    passed = Passed()
    found = [s.id for s in list_images(tmp_path, passed=passed)]
    assert found == ["a.png", "b.jfif", "c.jpe", "e.dib", "f.dat", "g.x", "without_suffix"]
    told = {row.reason: (row.count, row.names) for row in passed.rows()}
    assert told == {
        Reason.HIDDEN: (1, (".h.png",)),
        Reason.NO_PICTURE: (3, ("empty", "n.xml", "notes.txt")),
        Reason.OTHER_FORMAT: (
            6,
            ("P5.txt: PNM", "h.gif: GIF", "i.ppm: PNM", "j.jp2: JPEG 2000", "k.dib: DIB"),
        ),
        Reason.UNFINISHED: (1, ("m.png.part",)),
        Reason.SPECIAL: (1, ("pipe.png",)),
        Reason.LINKED: (1, ("linked",)),
    }
    assert [row.reason for row in passed.rows() if row.is_pictures] == [Reason.OTHER_FORMAT]
    assert "k.dib: DIB, ...)" in " ".join(passed.notes())
    with pytest.raises(DataError) as caught:
        list_images(tmp_path, pattern="*.gif")
    assert "7 images" in (caught.value.hint or "")


def test_what_kizu_wrote_and_masks_beside_pictures_are_no_pictures_and_told(tmp_path: Path) -> None:
    for name in ("in/a.png", "out/masks/a.png.png", "out/overlays/a.png.jpg", "in/b_mask.png", "in/c.png"):
        encode_png(tmp_path / name, noise(0))
    encode_png(tmp_path / "in/c_mask.png", noise_mask())
    encode_png(tmp_path / "in/a_seg.png", noise(4))
    (tmp_path / "out/preds.jsonl").touch()
    passed = Passed()
    assert [s.id for s in list_images(tmp_path, passed=passed)] == [
        "in/a.png", "in/a_seg.png", "in/b_mask.png", "in/c.png",
    ]  # fmt: skip
    notes = " ".join(passed.notes())
    assert "masks beside their pictures passed over: 1 (in/c_mask.png)" in notes
    assert "folders that Kizu wrote passed over: 2 (out/masks, out/overlays)" in notes
    assert "in/a_seg.png is called like the mask of a.png" in notes
    with pytest.raises(DataError, match="no image") as caught:
        list_images(tmp_path / "out")
    assert "folders that Kizu wrote" in (caught.value.hint or "")


def test_a_folder_of_masks_is_inspected_and_told_or_left_out_where_pictures_are_compared(
    tmp_path: Path,
) -> None:
    for name in ("bad/a.png", "ground_truth/a.png"):
        encode_png(tmp_path / name, noise(0))
    passed = Passed()
    assert len(list_images(tmp_path, passed=passed)) == 2
    assert "ground_truth is called like a folder of masks" in " ".join(passed.notes())
    passed = Passed()
    assert [s.id for s in list_images(tmp_path, without_masks=True, passed=passed)] == ["bad/a.png"]
    assert "ground_truth: 1" in " ".join(passed.notes())


def test_a_pattern_does_not_ask_for_upper_or_lower_case_and_what_it_leaves_out_is_told(
    tmp_path: Path,
) -> None:
    for name in ("a.PNG", "b.png", "c.jpg"):
        (tmp_path / name).touch()
    passed = Passed()
    assert [s.id for s in list_images(tmp_path, pattern="*.Png", passed=passed)] == ["a.PNG", "b.png"]
    assert passed.notes() == ("pictures that the pattern leaves out passed over: 1 (c.jpg)",)


def test_a_file_is_opened_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    sniffed = lots.sniff
    monkeypatch.setattr(lots, "sniff", lambda path: opened.append(Path(path).name) or sniffed(path))
    (tmp_path / "a").write_bytes(b"not yet")
    (tmp_path / "b.png").write_bytes(png_bytes(noise(0)))
    for _ in range(3):
        assert [s.id for s in list_images(tmp_path)] == ["b.png"]
    assert opened == ["a"]
    (tmp_path / "a").write_bytes(png_bytes(noise(0)))
    for _ in range(2):
        assert [s.id for s in list_images(tmp_path)] == ["a", "b.png"]
    assert opened == ["a", "a"]


def test_good_images_are_what_the_names_of_folders_say(tmp_path: Path) -> None:
    for number, name in enumerate(("good/a.png", "NG/b.png", "test/ok/c.png")):
        encode_png(tmp_path / name, noise(number))
    passed = Passed()
    (sample,) = list_good_images(tmp_path, passed)
    assert (sample.id, sample.label, sample.defect) == ("good/a.png", "good", "good")
    assert "not for learning" in " ".join(passed.notes())
    assert "NG: 1" in " ".join(passed.notes())
    with pytest.raises(DataError, match="not good"):
        list_good_images(tmp_path / "NG", Passed())
    assert [s.id for s in list_good_images(tmp_path / "NG/b.png", Passed())] == ["b.png"]


LISTS: dict[str, tuple[bytes, list[str]]] = {
    "Windows": (b"a.png\r\nb.png\r\n", ["a.png", "b.png", ""]),
    "a byte order mark": (b"\xef\xbb\xbfa.png\n", ["a.png", ""]),
    "UTF-16": ("a.png\r\n\u00e9.png".encode("utf-16"), ["a.png", "\u00e9.png"]),
    "big-endian UTF-16": (b"\xfe\xff" + "a.png\n".encode("utf-16-be"), ["a.png", ""]),
    "blanks": (b" a.png \n\tb\n", [" a.png ", "\tb", ""]),
    "what Unicode calls ends of lines": ("a\u2028b\x0bc\x85d\re\n".encode(), ["a\u2028b\x0bc\x85d\re", ""]),
    "no UTF-8": (b"caf\xe9.png\n", [os.fsdecode(b"caf\xe9.png"), ""]),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_is_read_as_tools_write_it(case: str) -> None:
    content, lines = LISTS[case]
    assert read_list(content) == lines


@pytest.mark.parametrize("content", [b"a\0.\0p\0", b"\xff\xfea", "a\0".encode("utf-16")])
def test_a_list_that_is_no_text_is_refused_with_what_to_do(content: bytes) -> None:
    with pytest.raises(DataError, match=r"x\.txt") as caught:
        read_list(content, name="x.txt")
    assert "UTF-8" in (caught.value.hint or "")


def test_names_keep_their_blanks() -> None:
    found = list_named_images(["/x/ a.png", "/x/b.png ", "  ", ""])
    assert [s.id for s in found] == [" a.png", "b.png "]


def test_listing_many_files_is_quick(tmp_path: Path) -> None:
    for number in range(20_000):
        (tmp_path / f"{number}.png").touch()
    list_images(tmp_path)
    start = time.process_time()
    assert len(list_images(tmp_path)) == 20_000
    assert time.process_time() - start < 0.4  # a fifth of them; .2 s when nobody else is busy


def test_a_list_with_nul_characters_is_no_text() -> None:
    with pytest.raises(DataError, match="NUL characters"):
        list_named_images(["a.png", "b\0.png"])
    with pytest.raises(DataError, match=r"x\.txt is no text"):
        list_named_images(["b\0.png"], name="x.txt")
