"""Masks and overlays have names that cannot meet and that file systems take."""

from kizu.inspection.names import MAX_NAME_BYTES, PictureNames


def test_a_picture_keeps_its_name_and_another_of_that_name_gets_a_mark() -> None:
    names = PictureNames()
    assert names.name("sub/0.png", "/a/sub/0.png") == "sub/0.png"
    assert names.name("sub/0.png", "/a/sub/0.png") == "sub/0.png"
    other = names.name("sub/0.png", "/b/sub/0.png")
    assert other.startswith("0-")
    assert other.endswith(".png")
    assert names.name("sub/0.png", "/b/sub/0.png") == other
    assert names.name("sub/0.jpg", "/a/sub/0.jpg") == "sub/0.jpg"


def test_a_name_that_is_taken_by_what_is_there_is_taken() -> None:
    names = PictureNames()
    names.take("0.png", "/old/0.png")
    assert names.name("0.png", "/new/0.png") != "0.png"
    assert names.name("0.png", "/old/0.png") == "0.png"


def test_no_file_stands_where_a_folder_should_and_the_reverse() -> None:
    for first, second in (("x.png", "x.png.png/y.png"), ("x.png", "x.png.jpg/y.png"), ("x", "x.png/a/b.png")):
        for order in ((first, second), (second, first)):
            names = PictureNames()
            given = [names.name(name, f"/in/{name}") for name in order]
            files = {name + ending for name in given for ending in (".png", ".jpg")}
            folders = {
                "/".join(file.split("/")[:depth]) for file in files for depth in range(1, file.count("/") + 1)
            }
            assert not files & folders


def test_every_part_of_a_name_fits_into_a_file_system() -> None:
    names = PictureNames()
    for wanted in (
        "n" * 251,
        "n" * 252,
        "ü" * 126,
        "é" * 300 + ".tif",
        "\udcff" * 252,
        "𝄞" * 70,
        "a/" + "b" * 260,
    ):
        given = names.name(wanted, "/in/" + wanted)
        assert all(len(part.encode(errors="surrogateescape")) <= MAX_NAME_BYTES for part in given.split("/"))
        assert (given == wanted) == (wanted == "n" * 251)
