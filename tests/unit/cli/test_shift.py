"""`kizu data shift`"""

from pathlib import Path

from tests.support import category
from typer.testing import CliRunner

from kizu.cli.main import app
from kizu.imaging.codec import decode


def shift(root: Path, output: Path, *flags: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(
        app, ["data", "shift", "--data-root", str(root), "--output", str(output), *flags]
    )
    return done.exit_code, done.stdout, done.stderr


def test_it_writes_a_set_and_a_sheet(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    category(tmp_path / "data", "disc", 5)
    code, out, _ = shift(tmp_path / "data", tmp_path / "out", "--category", "plate,disc", "--severity", "2")
    assert code == 0
    assert "plate: 20 of 20 pictures" in out
    for name in ("plate", "disc"):
        assert (tmp_path / "out" / name / "train/good/0.png").is_file()
        assert decode(tmp_path / "out" / f"{name}.png").shape[1] > 600


def test_an_unknown_shift_is_told_with_the_nearest_name(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    code, _, err = shift(tmp_path / "data/plate", tmp_path / "out", "--shift", "brightnes")
    assert code == 2
    assert "unknown shift: 'brightnes'" in err
    assert "did you mean 'brightness'?" in err
    assert not (tmp_path / "out").exists()


def test_an_output_among_the_pictures_is_refused(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    code, _, err = shift(tmp_path / "data/plate", tmp_path / "data/plate/out")
    assert code == 2
    assert "would lie in the data set" in err


def test_a_bad_picture_is_named_and_the_exit_code_says_so(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    (tmp_path / "data/plate/train/good/3.png").write_bytes(b"no picture")
    code, out, err = shift(tmp_path / "data/plate", tmp_path / "out")
    assert code == 3
    assert "19 of 20" in out
    assert "train/good/3.png is left out" in err
