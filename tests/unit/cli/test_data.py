"""`kizu data check` tells by its exit code whether the data set can be used."""

import json
from pathlib import Path

import pytest
from tests.support import category
from typer.testing import CliRunner

from kizu.cli.main import app


def check(root: Path, *flags: str) -> tuple[int, str, str]:
    preview = root.parent / "preview.png"
    done = CliRunner().invoke(
        app, ["data", "check", "--data-root", str(root), "--preview", str(preview), *flags]
    )
    assert preview.is_file()
    return done.exit_code, done.stdout, done.stderr


def test_a_data_set_with_warnings_only_may_be_used(tmp_path: Path) -> None:
    category(tmp_path, "plate", 0)
    code, out, err = check(tmp_path / "plate")
    assert code == 0
    assert "warning: fewer than 20 good images" in out
    assert "error" not in err


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_errors_are_reported_whole_and_then_end_in_what_the_user_can_mend(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    category(tmp_path, "plate", 0)
    (tmp_path / "plate/train/good/3.png").write_bytes(b"no picture")
    code, out, err = check(tmp_path / "plate", *flags)
    assert code == 2
    assert "error: plate has errors: " in err
    assert "hint: " in err
    if flags:
        assert [p["ids"] for p in json.loads(out)["problems"] if p["severity"] == "error"] == [
            ["train/good/3.png"]
        ]
    else:
        assert "train/good/3.png" in out


def test_the_report_comes_first_and_a_sheet_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    category(tmp_path, "plate", 0)
    (tmp_path / "file").touch()
    for preview in (
        tmp_path / "file/preview.png",
        tmp_path / "plate/preview.png",
        tmp_path / "plate/test/good/p.png",
    ):
        found = CliRunner().invoke(
            app, ["data", "check", "--data-root", str(tmp_path / "plate"), "--preview", str(preview)]
        )
        assert found.exit_code == 0, found.stderr
        assert "12 images" in found.stdout
        assert "warning: no contact sheet: " in found.stderr
        assert "hint: " in found.stderr
        assert not preview.exists()


def test_what_is_passed_over_is_told(tmp_path: Path) -> None:
    category(tmp_path, "plate", 0)
    (tmp_path / "plate/train/good/a.gif").write_bytes(b"GIF89a")
    _, out, _ = check(tmp_path / "plate")
    assert "note: pictures in a format that Kizu does not read passed over: 1 (train/good/a.gif: GIF)" in out
