"""A manifest is ordered, says what its numbers depend on, and survives the disk."""

from dataclasses import replace
from pathlib import Path

import pytest

from kizu.core.errors import DataError, ImageError
from kizu.core.hashing import hash_bytes
from kizu.core.split import Split
from kizu.core.work import Work
from kizu.data.manifest import Manifest, Sample, merge_manifests, read_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    """Two to learn from, two to test with; one has a mask. The files hold any bytes."""
    root = tmp_path / "set"
    files = ["train/a1.png", "train/a2.png", "test/b1.png", "test/傷.png", "masks/傷.png"]
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    samples = (
        Sample("train/a1.png", root / files[0], "good", defect="good", split=Split.TRAIN),
        Sample("train/a2.png", root / files[1], "good", defect="good", split=Split.TRAIN),
        Sample("test/b1.png", root / files[2], "good", defect="good", split=Split.TEST),
        Sample("test/傷.png", root / files[3], "defect", root / files[4], "scratch", Split.TEST),
    )
    return Manifest("set", "part", root, samples, ("1 hidden files passed over",))


def test_samples_are_chosen_by_split_in_order(manifest: Manifest) -> None:
    assert [s.id for s in manifest.train_good()] == ["train/a1.png", "train/a2.png"]
    assert [s.id for s in manifest.test()] == ["test/b1.png", "test/傷.png"]
    assert manifest.validation() == ()
    assert len(manifest) == 4


def test_a_defect_among_the_training_images_is_not_learned(manifest: Manifest) -> None:
    bad = replace(manifest.samples[0], label="defect")
    assert replace(manifest, samples=(bad, manifest.samples[1])).train_good() == (manifest.samples[1],)


def test_two_samples_of_one_id_are_refused(manifest: Manifest) -> None:
    with pytest.raises(DataError, match=r"train/a1\.png"):
        replace(manifest, samples=(manifest.samples[0], manifest.samples[0]))


def test_hashes_are_of_the_files_and_known_ones_are_kept(manifest: Manifest) -> None:
    known = replace(manifest.samples[0], sha256="known")
    seen: list[tuple[int, int]] = []
    hashed = replace(manifest, samples=(known, *manifest.samples[1:])).with_hashes(
        Work(on_progress=lambda _, done, total: seen.append((done, total)))
    )
    assert hashed.samples[0].sha256 == "known"
    assert hashed.samples[1].sha256 == hash_bytes(b"train/a2.png")
    assert hashed.samples[3].mask_sha256 == hash_bytes("masks/傷.png".encode())
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_a_file_that_is_gone_is_named(manifest: Manifest) -> None:
    manifest.samples[3].path.unlink()
    with pytest.raises(ImageError, match=r"傷\.png") as caught:
        manifest.with_hashes()
    assert caught.value.path == manifest.samples[3].path


def test_the_content_hash_follows_content_and_labels_but_not_places(
    manifest: Manifest, tmp_path: Path
) -> None:
    before = manifest.content_hash()
    assert manifest.with_hashes().content_hash() == before
    moved = manifest.root.rename(tmp_path / "elsewhere")
    manifest.write(tmp_path / "m.jsonl")
    assert read_manifest(tmp_path / "m.jsonl", root=moved).content_hash() == before
    here = read_manifest(tmp_path / "m.jsonl", root=moved)
    relabelled = replace(here.samples[0], label=None)
    assert replace(here, samples=(relabelled, *here.samples[1:])).content_hash() != before
    here.samples[3].mask_path.write_text("another mask")  # type: ignore[union-attr]
    assert here.content_hash() != before


def test_a_written_manifest_comes_back(manifest: Manifest, tmp_path: Path) -> None:
    for version in (manifest, manifest.with_hashes(), manifest.group_by(r"(\w)\d")):
        version.write(tmp_path / "m.jsonl")
        assert read_manifest(tmp_path / "m.jsonl") == version


def test_paths_are_written_relative_to_the_root_even_outside_it(manifest: Manifest, tmp_path: Path) -> None:
    outside = replace(manifest.samples[0], mask_path=tmp_path / "other" / "m.png")
    replace(manifest, samples=(outside,)).write(tmp_path / "m.jsonl")
    assert '"mask": "../other/m.png"' in (tmp_path / "m.jsonl").read_text()


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "empty"),
        ("{", "line 1"),
        ("[]\n", "line 1"),
        ('{"dataset": 1}\n', "line 1"),
        ("HEAD\n{}\n", "line 2"),
    ],
)
def test_a_damaged_manifest_is_refused_naming_the_line(tmp_path: Path, text: str, where: str) -> None:
    head = '{"dataset": "d", "category": "c", "root": "r", "notes": []}'
    (tmp_path / "m.jsonl").write_text(text.replace("HEAD", head))
    with pytest.raises(DataError, match=where):
        read_manifest(tmp_path / "m.jsonl")


def test_a_missing_manifest_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"m\.jsonl"):
        read_manifest(tmp_path / "m.jsonl")


def test_groups_come_from_a_pattern_over_ids(manifest: Manifest) -> None:
    assert [s.group for s in manifest.group_by(r"/([a-z])\d").samples] == ["a", "a", "b", None]
    assert [s.group for s in manifest.group_by("^train").samples] == ["train", "train", None, None]


@pytest.mark.parametrize("name", [b"caf\xe9.png", "two\N{LINE SEPARATOR}lines.png".encode()])
def test_names_that_are_no_utf8_or_hold_an_end_of_line_survive_the_disk(
    name: bytes, manifest: Manifest, tmp_path: Path
) -> None:
    """As Python has them; tests/journeys/test_file_names.py has real files."""
    told = name.decode("utf-8", "surrogateescape")
    sample = Sample(f"test/{told}", manifest.root / told, "good", manifest.root / "masks" / told, group=told)
    odd = replace(manifest, samples=(*manifest.samples, sample), notes=(f"{told} passed over",))
    odd.write(tmp_path / "m.jsonl")
    assert read_manifest(tmp_path / "m.jsonl") == odd


def test_only_different_categories_are_merged(manifest: Manifest) -> None:
    for given in ([], [manifest], [manifest, manifest]):
        with pytest.raises(DataError, match="cannot be merged"):
            merge_manifests(given)
