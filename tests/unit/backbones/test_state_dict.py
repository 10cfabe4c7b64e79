"""A state dict in a file: which format it is, what is taken out of it, and what is refused."""

import json
import struct

import numpy as np
import pytest

from kizu.backbones.state_dict import format_of, read_weights
from kizu.core.errors import BackboneError

pytest.importorskip("safetensors")


def safetensors(header, values=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


def saved(tensors):
    header, values = {"__metadata__": {"format": "pt"}}, b""
    for name, (dtype, array) in tensors.items():
        held = array.tobytes()
        place = [len(values), len(values) + len(held)]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": place}
        values += held
    return safetensors(header, values)


@pytest.fixture
def read(tmp_path):
    path, notes = tmp_path / "net.bin", []

    def reader(content):
        path.write_bytes(content)
        return read_weights(path, on_note=notes.append)

    reader.notes = notes
    return reader


def test_tensors_come_out_as_they_went_in_and_16_bits_as_32(read):
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2, 3)).astype(np.float32)
    brain = (values.view(np.uint32) >> 16).astype("<u2")
    found = read(
        saved(
            {
                "a": ("F32", values),
                "b": ("F16", values.astype(np.float16)),
                "c": ("BF16", brain),
                "n": ("I64", np.array(7)),
            }
        )
    )
    np.testing.assert_array_equal(found["a"], values)
    np.testing.assert_allclose(found["b"], values, rtol=1e-3)
    np.testing.assert_allclose(found["c"], values, rtol=1e-2)
    assert {found[name].dtype for name in "abc"} == {np.dtype(np.float32)}
    assert found["n"] == 7
    assert read.notes == []


@pytest.mark.parametrize(
    "content",
    [
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234567"),
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"123456789"),
        safetensors({"a": {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]}}, b"12345678"),
        safetensors({"a": {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]}}, b"12345678"),
        safetensors({"a": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}, b"12"),
        safetensors({"a": 1}),
        safetensors({}),
        safetensors(b"{ not json"),
        struct.pack("<Q", 1 << 60) + b"{}",
        struct.pack("<Q", 99) + b"{}",
    ],
    ids=str,
)
def test_a_broken_or_unknown_file_is_refused_by_name(read, content):
    with pytest.raises(BackboneError, match=r"net\.bin") as caught:
        read(content)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "empty"),
        (b"\n<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"\x80\x04N.", "no tensors"),
        (b"garbage" * 9, "no tensors"),
    ],
)
def test_what_is_often_taken_for_weights_is_called_what_it_is(read, content, told):
    with pytest.raises(BackboneError, match=told):
        read(content)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BackboneError, match=r"none\.pth"):
        read_weights(tmp_path / "none.pth")


ONE = ("F32", np.ones(1, np.float32))


def test_prefixes_that_wrappers_put_are_taken_off_and_told(read):
    assert list(read(saved({"module.backbone.a": ONE, "module.head.b": ONE}))) == ["a"]
    assert [note.split(": ", 1)[1] for note in read.notes] == [
        "the prefix 'module.' was taken off the names",
        "the prefix 'backbone.' was taken off the names; left out, being outside it: head.b",
    ]


def test_a_prefix_that_only_some_names_have_is_theirs(read):
    assert list(read(saved({"a": ONE, "model.b": ONE}))) == ["a", "model.b"]


def test_the_format_is_told_by_the_content():
    assert format_of(b"PK\x03\x04...") == "zip"
    assert format_of(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.") == "legacy"
    assert format_of(saved({"a": ONE})) == "safetensors"
    assert format_of(b"\x08\x08\x12\x04kizu") == "onnx"
