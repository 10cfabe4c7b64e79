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
