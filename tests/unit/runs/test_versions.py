"""Which version is in force: told by one file, in one move, and never by a version that is no longer in force."""

from pathlib import Path

import pytest

from kizu.core.errors import BundleError, OutputError
from kizu.core.files import write_json, write_text
from kizu.runs.versions import (
    HISTORY,
    NEW,
    Step,
    find_next_version,
    mark_new,
    put_in_force,
    read_history,
    sweep_versions,
    version_folder,
)


def step(version: int, before: int, action: str = "update") -> Step:
    return Step.parse(
        {"action": action, "version": version, "before": before, "at": "now", "bundle_sha256": "0"},
        where="test",
    )


def make(run: Path, version: int) -> Path:
    """The folder of a version that has not been in force."""
    place = version_folder(run, version).parent
    write_text(place / "bundle" / "bundle.json", "{}")
    mark_new(place)
    return place


def test_a_version_made_from_one_that_is_no_longer_in_force_is_refused(tmp_path: Path) -> None:
    put_in_force(tmp_path, step(2, 1))
    before = (tmp_path / HISTORY).read_bytes()
    with pytest.raises(OutputError, match="version 2 in force by now, no longer 1") as refused:
        put_in_force(tmp_path, step(3, 1))
    assert refused.value.hint
    assert (tmp_path / HISTORY).read_bytes() == before


def test_what_a_kill_left_before_it_came_into_force_is_removed_and_its_number_free(tmp_path: Path) -> None:
    kept = make(tmp_path, 2)
    put_in_force(tmp_path, step(2, 1))
    assert not (kept / NEW).exists()
    make(tmp_path, 3)
    mark_new(kept)  # as if it had been killed just after it came into force
    users = tmp_path / "versions" / "7"  # without a mark: a copy that somebody made
    write_text(users / "bundle" / "bundle.json", "{}")
    sweep_versions(tmp_path)
    assert sorted(path.name for path in (tmp_path / "versions").iterdir()) == ["2", "7"]
    assert [path.name for path in kept.iterdir()] == ["bundle"]
    assert find_next_version(tmp_path) == 8


def test_a_lost_history_costs_no_version(tmp_path: Path) -> None:
    make(tmp_path, 2)
    put_in_force(tmp_path, step(2, 1))
    (tmp_path / HISTORY).unlink()
    sweep_versions(tmp_path)
    assert version_folder(tmp_path, 2).is_dir()


@pytest.mark.parametrize("before", [2, 3])
def test_a_history_that_goes_in_a_circle_is_refused_by_name(tmp_path: Path, before: int) -> None:
    write_json(
        tmp_path / HISTORY,
        {
            "in_force": 2,
            "steps": [{"action": "update", "version": 2, "before": before, "at": "", "bundle_sha256": ""}],
        },
    )
    with pytest.raises(BundleError, match=r"versions\.json.* cannot have been made from version"):
        read_history(tmp_path).lineage()


def test_a_folder_called_by_no_number_is_none(tmp_path: Path) -> None:
    for name in ("²", "old", ".kizu-0123456789abcdef.part"):
        (tmp_path / "versions" / name).mkdir(parents=True)
    assert find_next_version(tmp_path) == 2


def test_other_thresholds_are_of_the_model_that_they_were_made_from(tmp_path: Path) -> None:
    """1 -update-> 2 -thresholds-> 3 -thresholds-> 4, back to 1 -thresholds-> 5"""
    for made, action in (((2, 1), "update"), ((3, 2), "thresholds"), ((4, 3), "thresholds")):
        put_in_force(tmp_path, step(*made, action))
    put_in_force(tmp_path, step(1, 4, "rollback"))
    put_in_force(tmp_path, step(5, 1, "thresholds"))
    history = read_history(tmp_path)
    assert [history.model_of(version) for version in (1, 2, 3, 4, 5)] == [1, 2, 2, 2, 1]
    assert history.lineage() == (1, 5)
    assert history.lineage(4) == (1, 2, 3, 4)
    assert (history.made("update"), history.made("thresholds")) == ((2,), (3, 4, 5))
    assert [history.parent(version) for version in (1, 2, 3, 4, 5)] == [None, 1, 2, 3, 1]


def test_a_history_of_before_is_read(tmp_path: Path) -> None:
    steps = [
        {"action": "update", "version": 2, "before": 1, "at": "t", "bundle_sha256": "0", "images_added": 3},
        {"action": "rollback", "version": 1, "before": 2, "at": "t", "bundle_sha256": "0", "reason": "r"},
    ]
    write_json(tmp_path / HISTORY, {"in_force": 1, "steps": steps})
    history = read_history(tmp_path)
    assert (history.in_force, history.lineage(2), history.model_of(2)) == (1, (1, 2), 2)


def test_thresholds_made_of_a_later_version_are_refused(tmp_path: Path) -> None:
    told = {"action": "thresholds", "version": 2, "before": 2, "at": "", "bundle_sha256": ""}
    write_json(tmp_path / HISTORY, {"in_force": 2, "steps": [told]})
    with pytest.raises(BundleError, match="cannot have been made from version 2"):
        read_history(tmp_path)
