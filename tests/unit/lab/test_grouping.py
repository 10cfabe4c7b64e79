"""Siblings among good images stay on one side of a cut, and nothing else about the run changes its identity."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import exposure

from kizu.core.work import Work
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest, merge_manifests, read_manifest
from kizu.data.scan import DataConfig, scan_data
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.lab.grouping import find_good_siblings, group_good, group_pictures
from kizu.lab.train import RunConfig, cut_good


def write_set(root: Path, parts: int = 8, shots: int = 2) -> Path:
    for part in range(parts):
        for shot in range(shots):
            encode_png(root / f"plate/train/good/{part * 20 + shot:04}.png", exposure(part, shot, (100, 120)))
    encode_png(root / "plate/test/good/0900.png", exposure(0, 9, (100, 120)))
    return root


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("set"))


@pytest.fixture
def manifest(root: Path) -> Manifest:
    return scan(root, "plate").with_hashes()


def grouped(manifest: Manifest, **more: object) -> tuple[Manifest, list[str]]:
    told: list[str] = []
    return group_good(manifest, PlacementConfig(), work=Work(on_note=told.append)), told


def test_siblings_become_groups_and_are_told_in_a_line(manifest: Manifest) -> None:
    found, (told,) = grouped(manifest)
    members: dict[str | None, int] = {}
    for sample in found.train_good():
        members[sample.group] = members.get(sample.group, 0) + 1
    assert sorted(members.values()) == [2] * 8
    assert "8 of 2 images" in told
    assert "--group none" in told
    assert all(sample.group is None for sample in found.test())


def test_found_groups_do_not_change_the_identity_of_the_set(manifest: Manifest, tmp_path: Path) -> None:
    found, _ = grouped(manifest)
    assert found.content_hash() == manifest.content_hash()
    assert manifest.group_by(r"good/(\d\d)").content_hash() != manifest.content_hash()
    assert found.group_by(r"good/(\d\d)").content_hash() == manifest.group_by(r"good/(\d\d)").content_hash()
    found.write(tmp_path / "manifest.jsonl")
    again = read_manifest(tmp_path / "manifest.jsonl")
    assert again.content_hash() == manifest.content_hash()
    assert [s.group for s in again.samples] == [s.group for s in found.samples]


@pytest.mark.parametrize("seed", range(5))
def test_every_group_is_on_one_side(manifest: Manifest, seed: int) -> None:
    cut = cut_good(
        grouped(manifest)[0], RunConfig(seed=seed).changed({"calibration": {"fraction": 0.3}}, where="")
    )
    sides = [{sample.group for sample in side} for side in (cut.fit, cut.calibration)]
    assert not sides[0] & sides[1]
    assert sides[1]


def test_given_groups_hold(manifest: Manifest) -> None:
    given = manifest.group_by(r"good/(\d)")
    assert grouped(given) == (given, [])


def test_nothing_found_is_quiet(tmp_path: Path) -> None:
    manifest = scan(write_set(tmp_path, shots=1), "plate").with_hashes()
    assert grouped(manifest) == (manifest, [])


@pytest.mark.parametrize("count", [2, 7, 12])
def test_a_set_of_one_part_is_cut_and_the_user_told(tmp_path: Path, count: int) -> None:
    found, (told,) = grouped(scan(write_set(tmp_path, parts=1, shots=count), "plate").with_hashes())
    assert all(sample.group is None for sample in found.samples)
    assert f"all {count} good images seem to show one part" in told


def test_categories_are_looked_at_one_by_one(manifest: Manifest, tmp_path: Path) -> None:
    other = scan(write_set(tmp_path, parts=6), "plate").with_hashes()
    both = merge_manifests([manifest, Manifest("set", "other", other.root, other.samples)])
    found, told = grouped(both)
    assert len(told) == 2
    assert {(s.group or "").split("/")[0] for s in found.train_good()} == {"plate", "other"}


def test_what_was_found_is_remembered_until_a_picture_changes(tmp_path: Path) -> None:
    write_set(tmp_path)
    manifest = scan(tmp_path, "plate").with_hashes()
    first = find_good_siblings(manifest.train_good(), None)
    assert find_good_siblings(manifest.train_good(), None) is first
    encode_png(tmp_path / "plate/train/good/0001.png", exposure(77, 0))
    changed = find_good_siblings(scan(tmp_path, "plate").with_hashes().train_good(), None)
    assert len(changed.groups) == len(first.groups) - 1


def test_broken_pictures_are_left_to_whoever_reads_them_next(tmp_path: Path) -> None:
    write_set(tmp_path)
    (tmp_path / "plate/train/good/0001.png").write_bytes(b"\x89PNG broken")
    assert "7 of 2 images" in grouped(scan(tmp_path, "plate").with_hashes())[1][0]


def test_arrays_and_files_in_colour_and_grey_are_compared_alike(tmp_path: Path) -> None:
    pictures: dict[str, np.ndarray | Path] = {f"{k}": exposure(k, 0) for k in range(8)}
    pictures["colour"] = np.stack([exposure(3, 1)] * 3, axis=-1)
    encode_png(tmp_path / "5b.png", exposure(5, 1))
    pictures["file"] = tmp_path / "5b.png"
    found = group_pictures(pictures, None)
    assert found == {"3": "3", "colour": "3", "5": "5", "file": "5"}


def test_configs_from_before_mean_no_groups(root: Path) -> None:
    assert DataConfig().group == "auto"
    old = DataConfig.parse({"root": str(root), "category": "plate", "group": None}, where="config.yaml")
    assert old.group is None
    for group in (None, "none", "auto"):
        assert scan_data(DataConfig(root=root, category="plate", group=group)).samples[0].group is None
    assert (
        scan_data(DataConfig(root=root, category="plate", group=r"good/(\d+)")).train_good()[0].group
        == "0000"
    )
