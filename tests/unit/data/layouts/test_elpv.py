"""Solar cells: certain labels only, a seeded test split, and the package or an extra that is named."""

from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.support import laid_out

from kizu.core.errors import ConfigError, DataError, MissingExtraError
from kizu.data.layouts import elpv
from kizu.imaging.codec import decode


def test_uncertain_cells_are_left_out_and_noted(tmp_path: Path) -> None:
    manifest = elpv.scan(laid_out(tmp_path, elpv.EXAMPLE))
    assert len(manifest) == 12
    assert manifest.notes == ("4 cells of uncertain label left out",)
    assert sum(s.label == "defect" for s in manifest.test()) == 4


def test_the_seed_decides_which_good_cells_are_for_testing(tmp_path: Path) -> None:
    laid_out(tmp_path, elpv.EXAMPLE)
    cuts = [elpv.scan(tmp_path, options=elpv.ElpvOptions(seed=seed)).train_good() for seed in (0, 0, 3)]
    assert cuts[0] == cuts[1]
    assert cuts[0] != cuts[2]


def test_an_unknown_category_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mnoo") as caught:
        elpv.scan(laid_out(tmp_path, elpv.EXAMPLE), "mnoo")
    assert "mono" in (caught.value.hint or "")


def test_a_damaged_table_is_named_with_its_line(tmp_path: Path) -> None:
    laid_out(tmp_path, elpv.EXAMPLE)
    with (tmp_path / "labels.csv").open("a") as table:
        table.write("images/cell9999.png  certainly  mono\n")
    with pytest.raises(DataError, match="line 17"):
        elpv.scan(tmp_path)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elpv, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError) as caught:
        elpv.scan()
    assert caught.value.hint == "pip install 'kizu[demo]'"


@pytest.mark.skipif(find_spec("elpv_dataset") is None, reason="elpv-dataset is not installed")
def test_the_real_cells_are_listed_whole() -> None:
    manifest = elpv.scan(category="all")
    assert len(manifest) == 2624 - 401
    assert sum(s.label == "defect" for s in manifest.samples) == 715
    assert len(elpv.scan().train_good()) == 588 - round(588 * 0.3)
    assert decode(manifest.samples[0].path).shape == (300, 300, 3)


def test_a_table_that_is_no_text_is_named(tmp_path: Path) -> None:
    laid_out(tmp_path, elpv.EXAMPLE)
    (tmp_path / "labels.csv").write_bytes(b"\xff\0\x80")
    with pytest.raises(DataError, match=r"cannot read .*labels\.csv"):
        elpv.scan(tmp_path)
