import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.support import example

from kizu.bundles.exported import MANIFEST, SHA256, manifest_in
from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.bundles.store import ensure_outside, load, read_fit_hash, save, save_beside
from kizu.core.errors import BundleError, OutputError
from kizu.core.hashing import hash_file, hash_value


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(example(), tmp_path / "bundle")
    return tmp_path / "bundle"


def test_what_was_saved_is_loaded(folder: Path) -> None:
    bundle = load(folder)
    assert bundle.manifest == example().manifest
    assert bundle.graph == example().graph
    for name, array in example().arrays.items():
        assert bundle.arrays[name].dtype == array.dtype
        assert (bundle.arrays[name] == array).all()


def test_one_flipped_byte_is_found_and_its_file_named(folder: Path) -> None:
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = bytearray(path.read_bytes())
        for position in (0, len(content) // 2, len(content) - 2):
            changed = content.copy()
            changed[position] ^= 1
            path.write_bytes(changed)
            with pytest.raises(BundleError, match=path.name):
                load(folder)
        path.write_bytes(content)
    load(folder)


def test_a_bundle_of_before_holds_its_rules_as_sentences_and_opens_alike(folder: Path) -> None:
    index = json.loads((folder / "bundle.json").read_text())
    for threshold in index["manifest"]["thresholds"].values():
        if threshold is not None:
            assert threshold["rule"] == {"name": "conformal", "level": 0.05}
            threshold["rule"] = "conformal@0.05"
    index["sha256"] = hash_value({"manifest": index["manifest"], "files": index["files"]})
    (folder / "bundle.json").write_text(json.dumps(index))
    bundle = load(folder)
    assert bundle.manifest.thresholds == example().manifest.thresholds
    assert bundle.bundle_sha256 == index["sha256"]
    exported = {MANIFEST: json.dumps(index["manifest"]), SHA256: "0"}
    assert manifest_in(exported, where="model.onnx")[0] == bundle.manifest
    index["manifest"]["thresholds"]["image"]["rule"] = "what nobody wrote"
    index["sha256"] = hash_value({"manifest": index["manifest"], "files": index["files"]})
    (folder / "bundle.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match="no rule is told as 'what nobody wrote'"):
        load(folder)


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "arrays" / "bank.npy").unlink()
    with pytest.raises(BundleError, match=r"bank\.npy is missing"):
        load(folder)


def test_a_folder_that_is_no_bundle_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        load(tmp_path)


def test_another_format_is_refused(folder: Path) -> None:
    index = json.loads((folder / "bundle.json").read_text())
    index["manifest"]["format"] = 99
    index["sha256"] = hash_value({"manifest": index["manifest"], "files": index["files"]})
    (folder / "bundle.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match="format 99"):
        load(folder)


def test_a_bundle_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        save(example(), folder)


def test_a_failed_save_leaves_nothing_behind(tmp_path: Path) -> None:
    from dataclasses import replace

    unstorable = replace(example(), arrays={"bank": np.array([object()])})
    with pytest.raises(ValueError, match="Object arrays"):
        save(unstorable, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_the_same_content_has_the_same_hash(folder: Path, tmp_path: Path) -> None:
    assert save(example(), tmp_path / "again") == load(folder).bundle_sha256


def listed_anew(folder: Path, change: Callable[[dict[str, str]], object]) -> None:
    """The bundle's list of files changed, and its hash made to fit."""
    index = json.loads((folder / "bundle.json").read_text())
    change(index["files"])
    index["sha256"] = hash_value({"manifest": index["manifest"], "files": index["files"]})
    (folder / "bundle.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    "name",
    [
        "../outside.npy",
        "arrays/../../outside.npy",
        "arrays/sub/bank.npy",
        "arrays/.hidden.npy",
        "arrays/bank.npz",
        "outside.npy",
        "arrays/bank.npy\n",
        "ABSOLUTE",
    ],
)
def test_names_that_are_no_file_of_a_bundle_are_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside.npy"
    np.save(outside, np.arange(3))
    name = str(outside) if name == "ABSOLUTE" else name
    listed_anew(folder, lambda files: files.update({name: hash_file(outside)}))
    with pytest.raises(BundleError, match=r"bundle\.json lists"):
        load(folder)


def test_a_bundle_without_a_graph_on_its_list_is_refused(folder: Path) -> None:
    listed_anew(folder, lambda files: files.pop("graph.onnx"))
    with pytest.raises(BundleError, match=r"does not list graph\.onnx"):
        load(folder)


@pytest.mark.parametrize("name", ["arrays/more.npy", "notes.txt", "export/model.onnx", "arrays/inspections"])
def test_what_a_bundle_does_not_list_may_not_be_in_it(folder: Path, name: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(BundleError, match="does not list it") as refused:
        load(folder)
    assert name.split("/")[0] in refused.value.message


def test_what_the_system_and_earlier_versions_left_is_passed_over(folder: Path) -> None:
    (folder / "inspections" / "new").mkdir(parents=True)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "arrays/.DS_Store"):
        (folder / name).write_bytes(b"x")
    assert load(folder).manifest == example().manifest


def archive() -> bytes:
    out = io.BytesIO()
    np.savez(out, a=np.arange(3))
    return out.getvalue()


def header(shape: str) -> bytes:
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", archive(), header("(4, 4)"), header("(99999999999999,)"), header("(-1,)"), header("(")],
    ids=["empty", "junk", "archive", "short", "huge", "negative", "torn"],
)
def test_what_is_no_array_is_named(folder: Path, content: bytes) -> None:
    bank = folder / "arrays" / "bank.npy"
    bank.write_bytes(content)
    listed_anew(folder, lambda files: files.update({"arrays/bank.npy": hash_file(bank)}))
    with pytest.raises(BundleError, match=r"bank\.npy is not an array"):
        load(folder)


@pytest.mark.parametrize("part", ["manifest", "files"])
@pytest.mark.parametrize("value", [None, 3, [], "x"])
def test_an_index_of_another_shape_is_refused(folder: Path, part: str, value: object) -> None:
    index = json.loads((folder / "bundle.json").read_text())
    index[part] = value
    index["sha256"] = hash_value({"manifest": index["manifest"], "files": index["files"]})
    (folder / "bundle.json").write_text(json.dumps(index))
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load(folder)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the superuser reads everything")
def test_a_file_that_may_not_be_read_is_named(folder: Path) -> None:
    (folder / "arrays" / "bank.npy").chmod(0)
    with pytest.raises(BundleError, match=r"bank\.npy"):
        load(folder)


def test_a_place_in_a_bundle_is_told_apart(folder: Path, tmp_path: Path) -> None:
    for place in (folder, folder / "inspections" / "new", folder / ".." / folder.name / "x"):
        with pytest.raises(OutputError, match="is inside the bundle"):
            ensure_outside(place)
    ensure_outside(folder.parent / "inspections")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(OutputError, match="is inside the bundle"):
        ensure_outside(tmp_path / "link" / "out")


def other(bundle: Bundle) -> BundleManifest:
    return bundle.manifest.model_copy(update={"version": 2, "reason": "test"})


def test_another_manifest_over_the_same_files_is_a_whole_bundle(folder: Path, tmp_path: Path) -> None:
    first, before = load(folder), {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    digest = save_beside(folder, first, other(first), tmp_path / "second")
    second = load(tmp_path / "second")
    assert second.manifest == other(first)
    assert second.stored_sha256 == digest != first.stored_sha256
    assert second.graph == first.graph
    assert read_fit_hash(folder) == read_fit_hash(tmp_path / "second")
    assert {path: path.read_bytes() for path in before} == before
    assert (tmp_path / "second/graph.onnx").stat().st_ino == (folder / "graph.onnx").stat().st_ino
    shutil.copytree(tmp_path / "second", tmp_path / "elsewhere")
    shutil.rmtree(folder)  # links and copies outlive what they were made from
    for place in ("second", "elsewhere"):
        assert load(tmp_path / place).bundle_sha256 == digest


@pytest.mark.parametrize("error", [errno.EPERM, errno.EXDEV, errno.EMLINK, errno.ENOTSUP])
def test_where_there_are_no_links_the_files_are_copied(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    first = load(folder)
    save_beside(folder, first, other(first), tmp_path / "second")
    assert load(tmp_path / "second").graph == first.graph
    assert (tmp_path / "second/graph.onnx").stat().st_ino != (folder / "graph.onnx").stat().st_ino


def test_files_that_may_not_be_written_are_copied(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A link to one could not be synced; for the superuser nothing is so, hence the pretence."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    first = load(folder)
    save_beside(folder, first, other(first), tmp_path / "second")
    assert (tmp_path / "second/graph.onnx").stat().st_nlink == 1
    load(tmp_path / "second")


def test_a_bundle_that_changed_since_it_was_read_is_not_taken_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = load(folder)
    monkeypatch.setattr(os, "access", lambda *_: False)  # so that files are copied
    (folder / "graph.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match=r"graph\.onnx has changed"):
        save_beside(folder, first, other(first), tmp_path / "second")
    assert not (tmp_path / "second").exists()
    shutil.rmtree(folder)
    save(example(), folder)
    again = load(folder)
    shutil.rmtree(folder)
    save(replace(example(), manifest=other(first)), folder)
    with pytest.raises(BundleError, match="has changed since it was read"):
        save_beside(folder, again, other(first), tmp_path / "second")
    assert not (tmp_path / "second").exists()
