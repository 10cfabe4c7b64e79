import json
from pathlib import Path

import numpy as np
import pytest
from tests.support import example

from kizu.bundles.exported import MANIFEST, SHA256, manifest_in
from kizu.bundles.store import load, save
from kizu.core.errors import BundleError, OutputError
from kizu.core.hashing import hash_value


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
