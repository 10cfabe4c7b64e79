"""A model file is opened only when it is what was exported, and holds what a graph for the line needs."""

import logging
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.support import fitted, part_picture

from kizu.backbones.builder import GraphBuilder
from kizu.backbones.session import GraphSession
from kizu.bundles.exported import (
    MANIFEST,
    MAP,
    META,
    PICTURE_SIZE,
    SCORE,
    read_export_meta,
    write_export_meta,
)
from kizu.bundles.manifest import Bundle
from kizu.bundles.sealed import seal
from kizu.core.errors import BackboneError, BundleError, ConfigError, ScoreError
from kizu.core.hashing import hash_file
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.pipeline.export import build_model
from kizu.pipeline.opened import open_pipeline
from kizu.runtimes.model import read_model
from kizu.runtimes.signing import signer

HW = (64, 64)


@pytest.fixture(scope="module")
def bundle(good_pictures: U8) -> Bundle:
    return fitted(good_pictures).bundle


@pytest.fixture(scope="module")
def drawn(bundle: Bundle) -> onnx.ModelProto:
    return build_model(bundle, "a" * 64)


@pytest.fixture
def written(drawn: onnx.ModelProto, tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(seal(drawn))
    return path


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """As the guide makes them."""
    pytest.importorskip("cryptography")
    folder = tmp_path_factory.mktemp("keys")
    for name in ("key", "other"):
        private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", private], check=True)
        subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], check=True)
    return {path.stem: path for path in folder.iterdir()}


def altered(model: onnx.ModelProto, change: Callable[[onnx.ModelProto], object]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    change(copy)
    return copy


def test_any_flipped_bit_is_refused(written: Path) -> None:
    content = written.read_bytes()
    rng = np.random.default_rng(0)
    ends = [*range(16), *range(len(content) - 200, len(content))]  # where the header and the seal are
    for place in [*ends, *rng.integers(0, len(content), 200)]:
        spoilt = bytearray(content)
        spoilt[place] ^= 1 << int(rng.integers(8))
        written.write_bytes(spoilt)
        with pytest.raises(BundleError, match=r"model\.onnx"):
            read_model(written)
    for spoilt in (
        content[:-1],
        content[:-90],
        content + b"\0",
        content * 2,
        content[: len(content) // 2],
        b"",
    ):
        written.write_bytes(spoilt)
        with pytest.raises(BundleError, match=r"model\.onnx"):
            read_model(written)


def test_a_threshold_edited_in_the_metadata_is_refused(written: Path, drawn: onnx.ModelProto) -> None:
    model = onnx.load(written)
    for prop in model.metadata_props:
        if prop.key == MANIFEST:
            prop.value = prop.value.replace('"value":', '"value":1e9,"was":', 1)
    onnx.save(model, written)
    with pytest.raises(BundleError, match="has changed since it was exported"):
        read_model(written)


def test_a_reader_of_onnx_may_write_the_file_again(written: Path) -> None:
    before = hash_file(written)
    onnx.save(onnx.load(written), written)
    assert hash_file(written) == before
    onnx.checker.check_model(str(written))


def test_a_file_of_before_opens_alike_and_says_once_that_nobody_knows(
    written: Path, drawn: onnx.ModelProto, caplog: pytest.LogCaptureFixture
) -> None:
    old = written.with_name("old.onnx")
    old.write_bytes(drawn.SerializeToString())
    images = np.stack([part_picture(90)])
    with caplog.at_level(logging.WARNING):
        whole = read_model(written)
        assert caplog.messages == []
        again = [read_model(old), read_model(old)]
    assert len(caplog.messages) == 1
    assert "old.onnx carries no hash" in caplog.messages[0]
    assert again[0].manifest == whole.manifest
    np.testing.assert_array_equal(again[0].scorer().score(images).maps, whole.scorer().score(images).maps)


def test_what_changes_between_reading_and_opening_is_noticed(written: Path, drawn: onnx.ModelProto) -> None:
    model = read_model(written)
    written.write_bytes(seal(altered(drawn, lambda m: m.metadata_props.add(key="note", value="other"))))
    with pytest.raises(BundleError, match="has changed since it was opened"):
        model.scorer()


def weights_elsewhere(model: onnx.ModelProto) -> None:
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    Path("weights.bin").write_bytes(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")


def constant_elsewhere(model: onnx.ModelProto) -> None:
    value = helper.make_tensor("elsewhere", TensorProto.FLOAT, [1], [0.0])
    value.ClearField("float_data")
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="weights.bin")
    model.graph.node.insert(0, helper.make_node("Constant", [], ["unused"], value=value))


def endless(model: onnx.ModelProto) -> None:
    body = helper.make_graph(
        [helper.make_node("Identity", ["go_on"], ["goes_on"])],
        "body",
        [
            helper.make_tensor_value_info("turn", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("goes_on", TensorProto.BOOL, [])],
    )
    model.graph.initializer.append(helper.make_tensor("yes", TensorProto.BOOL, [], [True]))
    model.graph.node.insert(0, helper.make_node("Loop", ["", "yes"], [], body=body))


def endless_inside_a_branch(model: onnx.ModelProto) -> None:
    inner = altered(helper.make_model(helper.make_graph([], "branch", [], [])), endless).graph
    inner.node.append(helper.make_node("Identity", ["yes"], ["done"]))
    inner.output.append(helper.make_tensor_value_info("done", TensorProto.BOOL, []))
    model.graph.initializer.append(helper.make_tensor("so", TensorProto.BOOL, [], [True]))
    model.graph.node.insert(0, helper.make_node("If", ["so"], ["x"], then_branch=inner, else_branch=inner))


def huge(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("sides", TensorProto.INT64, [2], [1 << 20, 1 << 20]))
    model.graph.node.insert(0, helper.make_node("ConstantOfShape", ["sides"], ["field"]))


def by_chance(model: onnx.ModelProto) -> None:
    model.graph.node.insert(0, helper.make_node("RandomNormal", [], ["noise"], shape=[2]))


def foreign(model: onnx.ModelProto) -> None:
    model.opset_import.add(domain="my.own", version=1)
    model.graph.node.insert(0, helper.make_node("Anything", ["image"], ["y"], domain="my.own"))


def functions(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("my.own", "f", [], [], [], list(model.opset_import)))


def sparse(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.add(dims=[1 << 20, 1 << 20])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (weights_elsewhere, "in another file"),
        (constant_elsewhere, "in another file"),
        (endless, "operator Loop: it may never end"),
        (endless_inside_a_branch, "operator Loop: it may never end"),
        (huge, "makes a value of"),
        (by_chance, "operator RandomNormal"),
        (foreign, "operator Anything: it is of my.own"),
        (functions, "functions or training steps"),
        (sparse, "sparse weights"),
    ],
)
@pytest.mark.parametrize("sealed", [True, False])
def test_what_no_graph_for_the_line_needs_is_refused_before_any_runtime_sees_it(
    drawn: onnx.ModelProto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[onnx.ModelProto], None],
    told: str,
    sealed: bool,
) -> None:
    monkeypatch.chdir(tmp_path)  # where weights.bin lies
    model = altered(drawn, change)
    path = tmp_path / "bad.onnx"
    path.write_bytes(seal(model) if sealed else model.SerializeToString())
    with pytest.raises(BundleError, match=told) as refused:
        read_model(path)
    assert "bad.onnx" in refused.value.message
    assert refused.value.hint


def test_a_graph_that_needs_another_file_is_opened_nowhere(
    drawn: onnx.ModelProto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BackboneError, match="in another file"):
        GraphSession(altered(drawn, weights_elsewhere))


def other_side(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 32


def other_input(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.input[:] = ["picture" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "picture"


def other_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def more_outputs(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Identity", [SCORE], ["more"]))
    model.graph.output.append(helper.make_tensor_value_info("more", TensorProto.FLOAT, ["N"]))


def other_rank(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(helper.make_tensor("last", TensorProto.INT64, [1], [1]))
    for node in model.graph.node:
        node.output[:] = ["flat" if name == SCORE else name for name in node.output]
    model.graph.node.append(helper.make_node("Unsqueeze", ["flat", "last"], [SCORE]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["N", 1]))


@pytest.mark.parametrize("change", [other_side, other_input, other_type, more_outputs, other_rank])
def test_what_takes_or_gives_something_else_is_refused_when_it_is_opened(
    drawn: onnx.ModelProto, tmp_path: Path, change: Callable[[onnx.ModelProto], None]
) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(seal(altered(drawn, change)))
    with pytest.raises(BundleError, match=r"bad\.onnx"):
        read_model(path).scorer()


def stands_for(score: np.ndarray, maps: np.ndarray, bundle: Bundle) -> onnx.ModelProto:
    """A graph with the manifest of `bundle` that gives these whatever it sees; it declares what it should give."""
    graph = GraphBuilder("g")
    graph.node("Identity", graph.constant(score), name=SCORE)
    graph.node("Identity", graph.constant(maps), name=MAP)
    told = {prop.key: prop.value for prop in build_model(bundle, "a" * 64).metadata_props}
    return graph.model(
        {"image": (np.uint8, ("N", *HW, 3))},
        {SCORE: (np.float32, ("N",)), MAP: (np.float32, ("N", "H", "W"))},
        metadata=told,
    )


@pytest.mark.parametrize(
    ("score", "maps", "told"),
    [
        (np.float32([np.nan]), np.zeros((1, *HW), np.float32), "not finite"),
        (np.float32([1]), np.full((1, *HW), np.inf, np.float32), "not finite"),
        (np.float32([1]), np.zeros((1, 32, 32), np.float32), "anomaly_map as"),
        (np.float32([1, 2]), np.zeros((1, *HW), np.float32), "pred_score"),
    ],
)
def test_what_is_no_score_is_an_error_of_ours(
    bundle: Bundle, tmp_path: Path, score: np.ndarray, maps: np.ndarray, told: str
) -> None:
    path = tmp_path / "odd.onnx"
    path.write_bytes(seal(stands_for(score, maps, bundle)))
    images = np.stack([part_picture(1), part_picture(2)])
    with pytest.raises((ScoreError, BackboneError, BundleError), match=told):
        read_model(path).scorer(Work(cores=1)).score(images)


def test_weights_that_do_not_fill_their_shape_are_an_error_of_ours(
    drawn: onnx.ModelProto, tmp_path: Path
) -> None:
    def hollow(model: onnx.ModelProto) -> None:
        tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
        tensor.raw_data = tensor.raw_data[:-4]

    path = tmp_path / "hollow.onnx"
    path.write_bytes(seal(altered(drawn, hollow)))
    with pytest.raises(BundleError, match=r"hollow\.onnx"):
        read_model(path).scorer()


def test_a_signed_file_is_opened_with_its_key_and_no_other(
    drawn: onnx.ModelProto, tmp_path: Path, keys: dict[str, Path]
) -> None:
    path = tmp_path / "signed.onnx"
    path.write_bytes(seal(drawn, signer(keys["key"])))
    public = read_model(path, signed_by=keys["key-public"]).signed_by
    assert public is not None
    assert read_model(path).signed_by == public
    assert read_model(path).scorer().score(np.stack([part_picture(1)])).image.shape == (1,)
    with pytest.raises(BundleError, match="was signed by the key"):
        read_model(path, signed_by=keys["other-public"])
    path.write_bytes(seal(drawn))
    with pytest.raises(BundleError, match="is not signed"):
        read_model(path, signed_by=keys["key-public"])
    path.write_bytes(drawn.SerializeToString())
    with pytest.raises(BundleError, match="is not signed"):
        read_model(path, signed_by=keys["key-public"])


def test_a_signature_does_not_fit_another_model(
    drawn: onnx.ModelProto, tmp_path: Path, keys: dict[str, Path]
) -> None:
    path = tmp_path / "forged.onnx"
    sign = signer(keys["key"])
    borrowed: list[str] = []
    seal(drawn, lambda digest: borrowed.append(sign(digest)) or borrowed[0])
    other = altered(drawn, lambda m: m.metadata_props.add(key="note", value="other"))
    path.write_bytes(seal(other, lambda _: borrowed[0]))  # whole by its hash
    for key in (None, keys["key-public"]):
        with pytest.raises(BundleError, match="does not fit"):
            read_model(path, signed_by=key)
    # appended behind a signed file: the hash is right, the signature no longer where it belongs
    signed = onnx.load_model_from_string(seal(drawn, sign))
    signed.metadata_props.add(key=PICTURE_SIZE, value="9x9")
    path.write_bytes(seal(signed))
    with pytest.raises(BundleError, match="is not signed"):
        read_model(path, signed_by=keys["key-public"])


def test_keys_of_another_kind_are_named(tmp_path: Path, keys: dict[str, Path]) -> None:
    rsa, locked = tmp_path / "rsa.pem", tmp_path / "locked.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "rsa", "-out", rsa], check=True, capture_output=True)
    subprocess.run(
        ["openssl", "pkey", "-in", keys["key"], "-aes256", "-passout", "pass:x", "-out", locked], check=True
    )
    (tmp_path / "junk.pem").write_text("junk")
    for path in (rsa, locked, tmp_path / "junk.pem", tmp_path / "none.pem", keys["key-public"]):
        with pytest.raises(ConfigError, match=path.name) as refused:
            signer(path)
        assert "openssl genpkey" in (refused.value.hint or "")


@pytest.fixture
def ir(drawn: onnx.ModelProto, bundle: Bundle, tmp_path: Path) -> Path:
    pytest.importorskip("openvino")
    from kizu.release.export import _meta
    from kizu.runtimes.convert import save_ir

    path = tmp_path / "ir" / "model.xml"
    path.parent.mkdir()
    save_ir(drawn, path, half=False)
    write_export_meta(path.with_name(META), _meta(path, drawn, bundle, "f32", None))
    return path


def test_an_ir_is_as_whole_as_all_its_files(ir: Path, drawn: onnx.ModelProto, tmp_path: Path) -> None:
    images = np.stack([part_picture(1)])
    expected = read_model(ir).scorer(Work("openvino")).score(images)
    assert expected.maps.shape == (1, *HW)
    rng = np.random.default_rng(0)
    for path in (ir, ir.with_suffix(".bin"), ir.with_name(META)):
        content = path.read_bytes()
        body = (
            read_export_meta(ir.with_name(META)).model_dump(mode="json") if path.suffix == ".json" else None
        )
        for place in rng.integers(0, len(content), 60):
            spoilt = bytearray(content)
            spoilt[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(spoilt)
            try:
                read_model(ir)
            except BundleError:
                continue
            assert body is not None  # a blank for a tab, say
            assert read_export_meta(path).model_dump(mode="json") == body
        path.write_bytes(content)
    ir.with_suffix(".bin").unlink()
    with pytest.raises(BundleError, match=r"model\.bin is missing"):
        read_model(ir)


def test_an_ir_that_may_never_end_or_is_a_riddle_is_refused(ir: Path) -> None:
    whole, meta = ir.read_text(), read_export_meta(ir.with_name(META))
    for spoilt in (
        whole.replace('type="Add"', 'type="Loop"', 1),
        whole.replace('type="MatMul"', 'type="TensorIterator"', 1),
        whole.replace("<net", '<!DOCTYPE net [<!ENTITY a "aaaa">]><net', 1),
        whole[: len(whole) // 2],
    ):
        assert spoilt != whole
        ir.write_text(spoilt)
        graph = meta.models[ir.name]
        told = graph.files[ir.name].model_copy(update={"sha256": hash_file(ir)})
        graph = graph.model_copy(update={"files": {**graph.files, ir.name: told}})
        write_export_meta(ir.with_name(META), meta.model_copy(update={"models": {ir.name: graph}}))
        with pytest.raises(BundleError, match=r"model\.xml (holds|is not)"):
            read_model(ir)


def test_a_named_pipe_is_no_model(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(BundleError, match="is missing"):
        read_model(tmp_path / "model.onnx")


def test_a_model_with_an_upper_case_suffix_is_the_same(written: Path, bundle: Bundle) -> None:
    loud = written.with_name("MODEL.ONNX")
    shutil.copy(written, loud)
    image = np.stack([part_picture(3)])
    np.testing.assert_allclose(
        read_model(loud).scorer().score(image).image, open_pipeline(bundle).score(image).image, rtol=1e-4
    )
