"""Backbones under a name of the user's: kept whole, found by name, checked when opened, never overwritten."""

import json
import multiprocessing
import threading

import numpy as np
import onnx
import pytest
from tests.support import resnet_weights

from kizu.backbones import resnet
from kizu.backbones.added import (
    added_names,
    backbones_folder,
    fetched_hash,
    keep,
    load_added,
    note_fetched,
    read_added,
    remove_added,
)
from kizu.backbones.adding import Told, add_file
from kizu.backbones.base import IMAGENET_MEAN
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.resnet import Variant
from kizu.backbones.store import load_backbone, load_spec
from kizu.core.errors import BackboneError, ConfigError, OutputError
from kizu.core.hashing import hash_file

SMALL = Variant((1, 1, 1, 1), bottleneck=False, stem=4)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("KIZU_BACKBONES", str(tmp_path / "backbones"))
    monkeypatch.setitem(resnet.VARIANTS, "small", SMALL)
    return tmp_path / "backbones"


@pytest.fixture
def file(tmp_path):
    save = pytest.importorskip("safetensors.numpy").save_file
    path = tmp_path / "small.safetensors"
    save(resnet_weights(SMALL), path)
    return path


def embed(backbone):
    graph = build_embedder(backbone, layers=backbone.spec.default_layers, normalisation="native")
    images = np.random.default_rng(0).integers(0, 256, (1, 64, 32, 3), dtype=np.uint8)
    return Embedder(graph.SerializeToString()).embed(images)


def test_a_state_dict_is_recognised_kept_and_found_by_name(file):
    notes = []
    added = add_file(file, "mine", Told(licence="CC0-1.0", source="drawn"), on_note=notes.append)
    assert any("tensors are those of small" in note for note in notes)
    backbone = load_backbone("mine")
    spec = backbone.spec
    assert (spec.name, spec.licence, spec.source, spec.mean) == ("mine", "CC0-1.0", "drawn", IMAGENET_MEAN)
    assert spec.weights_sha256 == hash_file(file)
    assert spec.layers == resnet.layers("small")
    assert spec.default_layers == ("layer2", "layer3")
    assert load_spec("mine") == spec
    assert added.architecture == "small"
    assert added_names() == ["mine"]
    file.unlink()  # it is not needed any more
    assert embed(load_backbone("mine")).shape == (1, 8, 4, 24)


def test_an_onnx_file_is_kept_with_what_it_says_of_itself(tmp_path, folder):
    model = load_backbone("tiny").model
    onnx.helper.set_model_props(model, {"kizu.mean": "[0.1, 0.2, 0.3]", "kizu.licence": "MIT"})
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
    add_file(tmp_path / "net.onnx", "net", Told(std=(0.5, 0.5, 0.5)))
    expected = embed(load_backbone(str(tmp_path / "net.onnx")))
    for path in tmp_path.glob("net.*"):
        path.unlink()
    spec = load_backbone("net").spec
    assert (spec.licence, spec.mean, spec.std) == ("MIT", (0.1, 0.2, 0.3), (0.5, 0.5, 0.5))
    assert read_added("net").architecture == "onnx"
    alone = load_backbone(str(folder / "net" / "graph.onnx"))  # of use without its spec as well
    assert (alone.spec.mean, alone.spec.std, alone.spec.licence) == (spec.mean, spec.std, "MIT")
    assert embed(load_backbone("net")).shape == expected.shape


@pytest.mark.parametrize("name", ["tiny", "efficientnet_lite0"])
def test_a_name_of_kizus_own_is_taken(file, name):
    with pytest.raises(ConfigError, match="taken by a backbone of Kizu's own"):
        add_file(file, name)


def test_a_name_that_is_taken_is_refused_and_stays_what_it_was(file):
    add_file(file, "mine", Told(licence="first"))
    with pytest.raises(ConfigError, match="'mine' is taken") as caught:
        add_file(file, "mine", Told(licence="second"))
    assert "kizu backbones remove mine" in caught.value.hint
    assert read_added("mine").licence == "first"


@pytest.mark.parametrize(
    "name", ["", "..", ".hidden", "../up", "a/b", "Upper", "net.onnx", "x" * 65, "a b", "ä", "a\n"]
)
def test_what_can_be_no_name_is_refused(file, name, folder):
    with pytest.raises(ConfigError, match="cannot be the name"):
        add_file(file, name)
    with pytest.raises(ConfigError, match="was added"):
        remove_added(name)
    assert not folder.exists()


def test_after_removing_the_name_is_free_and_nothing_is_left(file, folder):
    add_file(file, "mine")
    remove_added("mine")
    assert added_names() == []
    assert list(folder.iterdir()) == []
    with pytest.raises(ConfigError, match="no backbone 'mine' was added"):
        remove_added("mine")
    with pytest.raises(ConfigError, match="unknown backbone"):
        load_backbone("mine")
    add_file(file, "mine")


def test_a_name_that_was_mistyped_is_told(file):
    add_file(file, "valves")
    with pytest.raises(ConfigError, match="did you mean 'valves'"):
        load_backbone("valve")


def test_what_can_be_fetched_is_told_by_its_name():
    with pytest.raises(ConfigError, match="not on this machine") as caught:
        load_backbone("resnet50")
    assert "kizu backbones fetch resnet50" in caught.value.hint


def test_a_changed_graph_or_spec_is_refused_by_name(file, folder):
    add_file(file, "mine")
    graph, spec = folder / "mine" / "graph.onnx", folder / "mine" / "spec.json"
    content = graph.read_bytes()
    graph.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(BackboneError, match=r"graph\.onnx has changed") as caught:
        load_added("mine")
    assert "kizu backbones remove mine" in caught.value.hint
    graph.unlink()
    with pytest.raises(BackboneError, match=r"cannot read .*graph\.onnx"):
        load_added("mine")
    graph.write_bytes(content)
    told = json.loads(spec.read_text())
    spec.write_text(json.dumps({**told, "licence": "mine"}))
    with pytest.raises(BackboneError, match=r"spec\.json has changed"):
        read_added("mine")
    spec.write_text("{")
    with pytest.raises(BackboneError, match=r"spec\.json"):
        load_backbone("mine")


def test_one_that_was_copied_under_another_name_is_refused(file, folder):
    add_file(file, "mine")
    (folder / "mine").rename(folder / "yours")
    with pytest.raises(BackboneError, match="is of the backbone 'mine'"):
        load_backbone("yours")


def test_weights_that_give_no_numbers_are_refused_and_nothing_is_kept(tmp_path, folder):
    save = pytest.importorskip("safetensors.numpy").save_file
    for value, told in ((np.nan, "not finite"), (0.0, "one value everywhere")):
        weights = resnet_weights(SMALL)
        for part in ("weight", "bias"):
            weights[f"layer3.0.bn2.{part}"][:] = value
            weights[f"layer3.0.downsample.1.{part}"][:] = value
        save(weights, tmp_path / "bad.safetensors")
        with pytest.raises(BackboneError, match=told):
            add_file(tmp_path / "bad.safetensors", "bad")
    assert added_names() == []
    assert not folder.exists()


def test_an_architecture_is_not_given_for_a_graph(tmp_path):
    onnx.save(load_backbone("tiny").model, tmp_path / "net.onnx")
    with pytest.raises(ConfigError, match="leave --arch out"):
        add_file(tmp_path / "net.onnx", "net", Told(architecture="resnet18"))


def test_a_deviation_of_nothing_is_refused(file):
    with pytest.raises(ConfigError, match="must be positive"):
        add_file(file, "mine", Told(std=(0.5, 0.0, 0.5)))


def test_a_graph_too_large_for_one_file_is_refused(file, monkeypatch):
    from kizu.backbones import added

    monkeypatch.setattr(added, "LARGEST_GRAPH", 1000)
    with pytest.raises(BackboneError, match="2 GB at most"):
        add_file(file, "mine")


def test_of_two_at_once_one_is_kept_whole(file):
    backbone = load_backbone("tiny")
    failures = []

    def add(licence):
        from dataclasses import replace

        try:
            keep(backbone.model, replace(backbone.spec, name="mine", licence=licence), "onnx")
        except (ConfigError, OutputError) as error:
            failures.append(error)

    threads = [threading.Thread(target=add, args=(f"licence {index}",)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) == 3
    assert load_backbone("mine").spec.licence.startswith("licence ")


def _add_in_a_process(path, name):
    add_file(path, name)


def test_two_processes_add_side_by_side(tmp_path, folder):
    onnx.save(load_backbone("tiny").model, tmp_path / "net.onnx")
    context = multiprocessing.get_context("spawn")
    processes = [
        context.Process(target=_add_in_a_process, args=(tmp_path / "net.onnx", name))
        for name in ("one", "two")
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert added_names() == ["one", "two"]
    assert load_backbone("one").spec.layers == load_backbone("two").spec.layers


def test_a_folder_that_cannot_be_written_is_named(file, folder):
    folder.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="backbones"):
        add_file(file, "mine")


def test_the_first_hash_of_an_address_is_remembered():
    assert fetched_hash("https://a/b") is None
    note_fetched("https://a/b", "1" * 64)
    note_fetched("https://a/c", "2" * 64)
    assert fetched_hash("https://a/b") == "1" * 64
    assert added_names() == []


def test_they_lie_in_the_users_data_folder(monkeypatch):
    monkeypatch.delenv("KIZU_BACKBONES")
    assert backbones_folder().name == "backbones"
    assert "kizu" in str(backbones_folder())
