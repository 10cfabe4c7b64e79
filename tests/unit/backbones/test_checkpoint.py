"""The restricted reader of torch checkpoints, of both formats."""

import io
import os
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from kizu.backbones.checkpoint import bfloat16_to_f32, read_checkpoint, read_zip
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
    state = b"\x80\x02ccollections\nOrderedDict\n)R(" + text("weight") + text("hello") + b"u."
    with pytest.raises(BackboneError, match="'weight' is not a tensor"):
        read_checkpoint(MAGIC + PROTOCOL + SYSTEM + state + b"\x80\x02].", name="x")


def test_a_storage_that_no_tensor_has_is_refused():
    with pytest.raises(BackboneError, match="it has no '7'"):
        read_checkpoint(checkpoint(text("hello"), [1]), name="x")


def test_few_values_cannot_be_said_to_be_many():
    with pytest.raises(BackboneError, match="is made of 3 values"):
        read_checkpoint(checkpoint(tensor(3, (2**20, 2**20), (0, 0)), [1, 2, 3]), name="x")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"\x80\x04N.", b"garbage" * 100])
def test_another_format_is_refused(content):
    with pytest.raises(BackboneError):
        read_checkpoint(content, name="x")


def zipped(value, values, *, root="net", drop=(), extra=(), state=None, compression=zipfile.ZIP_STORED):
    """A zip as torch writes it with the one entry "weight"; `values`: the bytes that its storage holds."""
    pickled = state or b"\x80\x02ccollections\nOrderedDict\n)R(" + text("weight") + value + b"u."
    parts = {"data.pkl": pickled, "byteorder": b"little", "data/7": values, "version": b"3\n"}
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for part, held in (*((part, held) for part, held in parts.items() if part not in drop), *extra):
            archive.writestr(f"{root}/{part}", held)
    return content.getvalue()


def floats(*values):
    return np.asarray(values, "<f4").tobytes()


def test_a_zip_is_read_with_its_strides_and_offsets():
    content = zipped(tensor(7, (2, 3), (1, 2), offset=1), floats(9, 0, 1, 2, 3, 4, 5))
    weight = read_zip(content, name="x")["weight"]
    np.testing.assert_array_equal(weight, [[0, 2, 4], [1, 3, 5]])


def test_two_tensors_may_share_a_storage():
    second = text("bias") + tensor(3, (1,), (1,), offset=2)
    state = (
        b"\x80\x02ccollections\nOrderedDict\n)R(" + text("weight") + tensor(3, (2,), (1,)) + second + b"u."
    )
    found = read_zip(zipped(b"", floats(1, 2, 3), state=state), name="x")
    np.testing.assert_array_equal(found["weight"], [1, 2])
    np.testing.assert_array_equal(found["bias"], [3])


def test_a_parameter_is_the_tensor_in_it():
    parameter = b"ctorch._utils\n_rebuild_parameter\n(" + tensor(2, (2,), (1,)) + b"\x88NtR"
    np.testing.assert_array_equal(read_zip(zipped(parameter, floats(1, 2)), name="x")["weight"], [1, 2])


def test_bfloat16_is_the_first_half_of_a_float():
    values = np.array([1.0, -2.5, 3e38, 0.0078125], np.float32)
    stored = (values.view(np.uint32) >> 16).astype("<u2").tobytes()
    found = read_zip(zipped(tensor(4, (2, 2), (2, 1), kind="torch\nBFloat16Storage"), stored), name="x")
    np.testing.assert_allclose(bfloat16_to_f32(found["weight"]), values.reshape(2, 2), rtol=2**-7)


@pytest.mark.parametrize(
    "content",
    [
        zipped(tensor(3, (3,), (1,)), floats(1, 2)),
        zipped(tensor(3, (3,), (1,)), floats(1, 2, 3, 4)),
        zipped(tensor(3, (3,), (1,)), b"1234567"),
        zipped(tensor(3, (4,), (1,)), floats(1, 2, 3)),
        zipped(tensor(3, (3,), (1,)), floats(1, 2, 3), drop=["data/7"]),
        zipped(tensor(3, (3,), (1,)), floats(1, 2, 3), drop=["data.pkl"]),
        zipped(tensor(3, (3,), (1,)), floats(1, 2, 3), drop=["byteorder"], extra=[("byteorder", b"big")]),
        zipped(tensor(3, (3,), (1,)), floats(1, 2, 3), extra=[("other/data.pkl", b"")]),
        zipped(tensor(3, (3,), (1,)), floats(1, 2, 3), compression=zipfile.ZIP_DEFLATED),
        zipped(b"cos\nsystem\n" + text("true") + b"\x85R", b""),
        zipped(b"c__torch__.net\nNet\n)R", b""),
        zipped(b"", b"", state=b"\x80\x02]."),
    ],
    ids=lambda content: str(len(content)),
)
def test_a_zip_that_is_not_what_torch_writes_is_refused_by_name(content):
    with pytest.raises(BackboneError, match=r"net\.pth"):
        read_zip(content, name="net.pth")


@pytest.mark.parametrize("cut", [0.1, 0.5, 0.99])
def test_a_zip_that_is_cut_is_refused(cut):
    content = zipped(tensor(3, (3,), (1,)), floats(1, 2, 3))
    with pytest.raises(BackboneError, match=r"net\.pth"):
        read_zip(content[: int(cut * len(content))], name="net.pth")


def test_a_changed_byte_of_the_values_is_found():
    content = zipped(tensor(3, (3,), (1,)), floats(1, 2, 3))
    changed = content.replace(floats(1, 2, 3), floats(1, 2, 4), 1)
    assert changed != content
    with pytest.raises(BackboneError, match="CRC"):
        read_zip(changed, name="net.pth")


def test_names_that_lead_out_of_the_zip_lead_nowhere(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(floats(1, 2, 3))
    climbing = tensor(3, (3,), (1,)).replace(text("7"), text("../" * 20 + str(secret)))
    with pytest.raises(BackboneError, match="it has no"):
        read_zip(zipped(climbing, floats(1, 2, 3)), name="net.pth")


def test_a_part_that_holds_itself_is_refused():
    state = b"\x80\x02}q\x00" + text("a") + b"h\x00s."
    with pytest.raises(BackboneError, match="twice"):
        read_zip(zipped(b"", b"", state=state), name="x")


def test_tensors_that_are_all_made_of_the_same_values_are_few():
    values = floats(*range(1000))
    entries = b"".join(text(f"w{index}") + tensor(1000, (1000,), (1,)) for index in range(2000))
    state = b"\x80\x02ccollections\nOrderedDict\n)R(" + entries + b"u."
    content = zipped(b"", values, state=state)
    assert len(content) < 2000 * len(values) / 8
    with pytest.raises(BackboneError, match="much larger than the file"):
        read_zip(content, name="x")


@pytest.mark.parametrize(
    "opcode",
    [
        b"N"
        + b"r"
        + struct.pack("<I", 2**32 - 1),  # a value to remember as the last of four thousand millions
        b"j" + struct.pack("<I", 2**32 - 1),
        b"\x96" + struct.pack("<Q", 2**36),  # a bytearray
        b"\x8e" + struct.pack("<Q", 2**36),
        b"\x8d" + struct.pack("<Q", 2**36),
        b"\x8b" + struct.pack("<i", 2**31 - 1),
        b"\x95" + struct.pack("<Q", 2**36),
    ],
    ids=["remember", "recall", "bytearray", "bytes", "text", "integer", "frame"],
)
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_size_that_a_damaged_file_says_is_not_believed(opcode, is_zip):
    state = b"\x80\x04" + opcode + b"."
    content = zipped(b"", b"", state=state) if is_zip else MAGIC + PROTOCOL + SYSTEM + state
    tracemalloc.start()
    try:
        with pytest.raises(BackboneError, match=r"net\.pth"):
            (read_zip if is_zip else read_checkpoint)(content, name="net.pth")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
