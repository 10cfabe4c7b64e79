"""The restricted reader of legacy torch checkpoints."""

import os
import struct

import numpy as np
import pytest

from kizu.backbones.checkpoint import read_checkpoint
from kizu.backbones.efficientnet_lite import VARIANTS, weights_path
from kizu.core.errors import BackboneError, MissingExtraError

MAGIC = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
PROTOCOL = b"\x80\x02M\xe9\x03."
SYSTEM = b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integers(*values):
    return b"(" + b"".join(b"J" + struct.pack("<i", value) for value in values) + b"t"


def tensor(count, shape, strides, *, offset=0, kind="torch\nFloatStorage"):
    """The opcodes of one tensor over a storage called "7"."""
    storage = b"(" + text("storage") + b"c" + kind.encode() + b"\n" + text("7") + text("cpu")
    storage += b"J" + struct.pack("<i", count) + b"NtQ"
    place = b"J" + struct.pack("<i", offset) + integers(*shape) + integers(*strides)
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + place + b"\x89NtR"


def checkpoint(value, values):
    """A whole file with the one entry "weight"; `values`: what its storage holds."""
    state = b"\x80\x02ccollections\nOrderedDict\n)R(" + text("weight") + value + b"u."
    keys = b"\x80\x02](" + text("7") + b"e."
    data = np.asarray(values, "<f4")
    return MAGIC + PROTOCOL + SYSTEM + state + keys + struct.pack("<q", data.size) + data.tobytes()


@pytest.fixture(scope="module")
def real_file():
    try:
        return weights_path(VARIANTS["efficientnet_lite0"])
    except MissingExtraError as error:
        pytest.skip(str(error))


def test_the_real_file_is_read(real_file):
    state = read_checkpoint(real_file.read_bytes(), name="lite0")
    assert state["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert state["_fc.weight"].shape == (1000, 1280)
    assert state["_bn0.num_batches_tracked"].dtype == np.int64
    assert all(np.isfinite(values).all() for values in state.values())
    assert sum(values.size for key, values in state.items() if "running" not in key) > 4_600_000


@pytest.mark.parametrize("share", [0, 0.0001, 0.001, 0.5, 0.999999])
def test_a_truncated_file_is_refused_by_name(real_file, share):
    content = real_file.read_bytes()
    with pytest.raises(BackboneError, match=r"lite0\.pth"):
        read_checkpoint(content[: int(share * len(content))], name="lite0.pth")


def test_strides_and_offset_are_honoured():
    content = checkpoint(tensor(7, (2, 3), (1, 2), offset=1), [9, 0, 1, 2, 3, 4, 5])
    weight = read_checkpoint(content, name="x")["weight"]
    np.testing.assert_array_equal(weight, [[0, 2, 4], [1, 3, 5]])
    assert weight.flags.writeable


def test_a_scalar_is_read():
    weight = read_checkpoint(checkpoint(tensor(1, (), ()), [5]), name="x")["weight"]
    assert weight.shape == ()
    assert weight == 5


@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ((3,), (1,), 1),
        ((2, 2), (2, 1), 0),
        ((3,), (-1,), 2),
        ((3,), (1,), -1),
        ((-3,), (1,), 0),
        ((2,), (1, 1), 0),
    ],
)
def test_a_tensor_cannot_reach_beyond_its_storage(shape, strides, offset):
    with pytest.raises(BackboneError):
        read_checkpoint(checkpoint(tensor(3, shape, strides, offset=offset), [1, 2, 3]), name="x")


@pytest.mark.parametrize("count", [2, 4, 2**31 - 1, -1])
def test_a_storage_of_another_size_is_refused(count):
    with pytest.raises(BackboneError):
        read_checkpoint(checkpoint(tensor(count, (2,), (1,)), [1, 2, 3]), name="x")


@pytest.mark.parametrize(
    "payload",
    [
        b"cos\nsystem\n" + text("touch {target}") + b"\x85R",
        b"cbuiltins\neval\n" + text("open('{target}', 'w')") + b"\x85R",
        b"(S'{target}'\nS'w'\nibuiltins\nopen\n",
        b"c__builtin__\nopen\n(S'{target}'\nS'w'\ntR",
    ],
)
@pytest.mark.parametrize("place", range(5))
def test_a_pickle_that_calls_something_is_refused_and_not_run(tmp_path, payload, place):
    target = tmp_path / "ran"
    payload = payload.replace(b"{target}", os.fsencode(target))
    if b"X" in payload[:12]:
        payload = payload.split(b"X")[0] + text(payload.split(b"X", 1)[1][4:-2].decode()) + b"\x85R"
    parts = [MAGIC, PROTOCOL, SYSTEM, b"\x80\x02}.", b"\x80\x02]."]
    parts[place] = b"\x80\x02" + payload + b"."
    with pytest.raises(BackboneError, match="not a tensor"):
        read_checkpoint(b"".join(parts), name="evil.pth")
    assert not target.exists()


@pytest.mark.parametrize("kind", ["torch\nload", "torch\nnn", "os\nFloatStorage"])
def test_a_storage_of_an_unknown_kind_is_refused(kind):
    with pytest.raises(BackboneError):
        read_checkpoint(checkpoint(tensor(3, (3,), (1,), kind=kind), [1, 2, 3]), name="x")


def test_a_state_dict_of_something_else_is_refused():
    with pytest.raises(BackboneError, match="'weight' is not a tensor"):
        read_checkpoint(checkpoint(text("hello"), [1]), name="x")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x80\x04N.", b"garbage" * 100])
def test_another_format_is_refused(content):
    with pytest.raises(BackboneError):
        read_checkpoint(content, name="x")
