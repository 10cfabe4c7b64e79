"""docs/shift.md names every shift, composition and condition, and the strengths of the table."""

import re
from pathlib import Path

from kizu.data.shifts import COMPOSITIONS, SHIFTS
from kizu.study.conditions import CONDITIONS
from kizu.study.config import StudyConfig

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/shift.md").read_text()


def test_every_name_is_on_the_page() -> None:
    names = {*SHIFTS, *COMPOSITIONS, *CONDITIONS} - {"zero", "global_pooled", "global_shifted_pooled"}
    assert {name for name in names if f"`{name}`" not in PAGE} == set()


def test_the_strengths_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| (`.*?`) \| ([\d.]+) \| ([\d.]+) \|", PAGE, re.MULTILINE)
    told = {
        name: (float(low), float(high)) for names, low, high in rows for name in re.findall("`(.*?)`", names)
    }
    assert told == {name: (shift.strengths[0], shift.strengths[-1]) for name, shift in SHIFTS.items()}


def test_the_default_study_is_a_study() -> None:
    config = StudyConfig.read(ROOT / "benchmarks/study.yaml")
    assert [one.name for one in config.data] == ["tile", "hazelnut", "board_92000", "disc"]
    assert config.severities == (1, 3, 5)
    assert len(config.seeds) == 3


def test_the_ablation_is_a_study_of_settings_that_differ() -> None:
    config = StudyConfig.read(ROOT / "benchmarks/ablation.yaml")
    pipelines = [config.pipeline(name, 42) for name in config.methods]
    assert all(pipelines.index(one) == place for place, one in enumerate(pipelines))
