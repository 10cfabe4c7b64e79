"""Damaged pictures and bombs: nothing but an image error comes out, in bounded time and memory.

    python benchmarks/decoders.py [--mutants 3000] [--seed 0]

Sound files of every format that is read are damaged at random (bits flipped, bytes overwritten, cut, doubled, swapped,
numbers in headers set to extremes) and decoded, as picture, as mask and as header. Then come files that are made to
take all memory, or to wait for ever. Ends with 1 where anything but a picture or an `ImageError` came out, a call took
more than 5 s, or memory rose by more than 500 MB. libtiff has remarks of its own on stderr.
"""

import argparse
import os
import struct
import sys
import tempfile
import threading
import time
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from kizu.core.errors import ImageError, UnreadableError
from kizu.data.batches import stream
from kizu.imaging.codec import decode, decode_mask, image_info, read_numbers
from kizu.imaging.placement import PlacementConfig

LONGEST_S, MOST_MB = 5.0, 500
_EXTREMES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


def sound_files(rng: np.random.Generator) -> dict[str, bytes]:
    """Small pictures in every format and the variants that differ in how they are decoded."""
    colour = np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    deep = (colour[..., 0].astype(np.uint16) << 8) + colour[..., 1]
    alpha = np.dstack([colour, colour[..., :1]])
    made = {
        "png": (colour, "PNG", {}),
        "png grey": (colour[..., 0], "PNG", {}),
        "png 1 bit": (colour[..., 0] > 99, "PNG", {}),
        "png 16": (deep, "PNG", {}),
        "png alpha": (alpha, "PNG", {}),
        "jpeg": (colour, "JPEG", {}),
        "jpeg progressive": (colour, "JPEG", {"progressive": True}),
        "jpeg restarts": (colour, "JPEG", {"restart_marker_rows": 1}),
        "jpeg grey": (colour[..., 0], "JPEG", {}),
        "bmp": (colour, "BMP", {}),
        "bmp grey": (colour[..., 0], "BMP", {}),
        "tiff": (colour, "TIFF", {}),
        "tiff 16": (deep, "TIFF", {}),
        "tiff float": (colour[..., 0].astype(np.float32), "TIFF", {}),
        "tiff lzw": (colour, "TIFF", {"compression": "tiff_lzw"}),
        "tiff deflate": (colour, "TIFF", {"compression": "tiff_adobe_deflate"}),
        "tiff jpeg": (colour, "TIFF", {"compression": "jpeg"}),
        "tiff fax": (colour[..., 0] > 99, "TIFF", {"compression": "group4"}),
        "webp": (colour, "WEBP", {}),
        "webp lossless": (alpha, "WEBP", {"lossless": True}),
    }
    files = {}
    for name, (array, format, options) in made.items():
        out = BytesIO()
        Image.fromarray(array).save(out, format, **options)
        files[name] = out.getvalue()
    return files


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes, half of them among the first 200 bytes, where headers are."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(0, min(200, len(changed)) if rng.random() < 0.5 else len(changed)))
        kind = int(rng.integers(0, 7))
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            changed[at : at + 8] = rng.bytes(int(rng.integers(1, 9)))
        elif kind == 2:
            number, size = _EXTREMES[int(rng.integers(0, len(_EXTREMES)))], int(rng.choice([1, 2, 4]))
            order = "little" if rng.random() < 0.5 else "big"
            changed[at : at + size] = (number & ((1 << 8 * size) - 1)).to_bytes(size, order)
        elif kind == 3:
            del changed[max(1, at) :]
        elif kind == 4:
            del changed[at : at + int(rng.integers(1, 40))]
        elif kind == 5:
            changed[at:at] = changed[at : at + int(rng.integers(1, 200))]
        else:
            other = int(rng.integers(0, len(changed)))
            size = int(rng.integers(1, 64))
            changed[at : at + size], changed[other : other + size] = (
                changed[other : other + size],
                changed[at : at + size],
            )
        if not changed:
            return b""
    return bytes(changed)


def _png(width: int, height: int, extra: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + extra + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def _sparse(path: Path, head: bytes, size: int, tail: bytes = b"") -> None:
    with path.open("wb") as out:
        out.write(head)
        out.truncate(size)
        out.seek(0, os.SEEK_END)
        out.write(tail)


def bombs(folder: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    """Name, and what is called."""
    for name, size in (
        ("1 x 99,000,000", (1, 99_000_000)),
        ("99,000,000 x 1", (99_000_000, 1)),
        ("65,000 x 65,000", (65_000, 65_000)),
    ):
        (folder / "bomb.png").write_bytes(_png(*size))
        yield (
            f"png of {name} in {(folder / 'bomb.png').stat().st_size} bytes",
            lambda: decode(folder / "bomb.png"),
        )
    os.mkfifo(folder / "pipe.png")
    yield "pipe", lambda: decode(folder / "pipe.png")
    (folder / "device.png").symlink_to("/dev/zero")
    yield "device", lambda: decode(folder / "device.png")
    head = _png(8, 8)[:33]
    _sparse(folder / "chunk.png", head + struct.pack(">I", 2_000_000_000) + b"zzZz", 2_000_001_000)
    yield "png with a chunk of 2 GB", lambda: decode(folder / "chunk.png")
    _sparse(folder / "text.png", _png(8, 8, struct.pack(">I", 60_000_000) + b"zTXt"), 60_001_000)
    yield "png with a text of 60 MB", lambda: decode(folder / "text.png")
    tag = struct.pack("<HHII", 700, 1, 2_000_000_000, 1000)
    _sparse(folder / "tag.tif", b"II*\0\x08\0\0\0\x01\0" + tag + bytes(4), 2_000_002_000)
    yield "tiff with a tag of 2 GB", lambda: decode(folder / "tag.tif")
    segment = b"\xff\xe1\xff\xff" + bytes(65_533)
    with (folder / "head.jpg").open("wb") as out:
        out.write(b"\xff\xd8" + segment * 4_000)
    yield "jpeg with a head of 262 MB", lambda: decode(folder / "head.jpg")
    pages = b"".join(struct.pack("<HI", 0, 14 + 6 * n) for n in range(200_000))
    (folder / "pages.tif").write_bytes(b"II*\0\x08\0\0\0" + pages)
    yield "tiff of 200,000 empty pages", lambda: image_info(folder / "pages.tif")
    Image.fromarray(np.full((10_000, 10_000), 90, np.uint8)).save(folder / "flat.png")
    yield "grey png of 100 megapixels", lambda: decode(folder / "flat.png")
    flat = folder / "flat"
    flat.mkdir()
    for number in range(8):
        Image.fromarray(np.full((3_000, 3_000, 3), 40 + number, np.uint8)).save(flat / f"{number}.png")
    yield (
        "8 flat pngs of 9 megapixels, as a training reads them",
        lambda: list(stream(sorted(flat.iterdir()), PlacementConfig())),
    )


class Watch:
    """Time and memory of calls, and what came of them."""

    def __init__(self) -> None:
        self.process = psutil.Process()
        self.base = self.process.memory_info().rss
        self.outcomes: Counter[str] = Counter()
        self.slowest, self.peak = (0.0, ""), (0, "")
        self.faults: list[str] = []

    def call(self, name: str, function: Callable[[], object]) -> str:
        before, done, peak = time.perf_counter(), threading.Event(), [0]

        def look() -> None:
            while not done.wait(0.001):
                peak[0] = max(peak[0], self.process.memory_info().rss)

        watcher = threading.Thread(target=look, daemon=True)
        watcher.start()
        try:
            function()
            outcome = "picture"
        except UnreadableError as error:
            outcome = f"unreadable: {error.message.splitlines()[0]}"
        except ImageError as error:
            outcome = f"error: {error.message.splitlines()[0]}"
        except BaseException as error:  # noqa: BLE001 - that is what is looked for
            outcome = "fault"
            self.faults.append(f"{name}: {error!r}")
        done.set()
        watcher.join()
        self.outcomes[outcome.split(":")[0]] += 1
        self.slowest = max(self.slowest, (time.perf_counter() - before, name))
        self.peak = max(self.peak, (max(0, peak[0] - self.base), name))
        return outcome

    def ends_well(self) -> bool:
        return not self.faults and self.slowest[0] <= LONGEST_S and self.peak[0] <= MOST_MB << 20


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mutants", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # Pillow's own remarks on damaged metadata
    rng = np.random.default_rng(asked.seed)
    files = list(sound_files(rng).items())
    for _, data in files:
        decode_mask(data), image_info(data)
        read_numbers(data)
    mutants = Watch()
    looks = (decode, decode, decode, decode_mask, read_numbers, image_info)
    for number in range(asked.mutants):
        name, data = files[number % len(files)]
        mutant = damage(data, rng)
        look = looks[int(rng.integers(0, len(looks)))]
        mutants.call(f"{name} {number}", lambda look=look, mutant=mutant: look(mutant))
    print(f"{asked.mutants} mutants of {len(files)} files: {dict(mutants.outcomes)}")
    print(
        f"  slowest {mutants.slowest[0]:.2f} s ({mutants.slowest[1]}), peak {mutants.peak[0] >> 20} MB above the base"
    )
    watched = Watch()
    with tempfile.TemporaryDirectory() as folder:
        for name, call in bombs(Path(folder)):
            start = time.perf_counter()
            outcome = watched.call(name, call).replace(f"{folder}/", "")
            print(f"  {name}: {outcome} ({time.perf_counter() - start:.2f} s)")
    print(
        f"  slowest {watched.slowest[0]:.2f} s ({watched.slowest[1]}),"
        f" peak {watched.peak[0] >> 20} MB above the base ({watched.peak[1]})"
    )
    for fault in (*mutants.faults, *watched.faults):
        print(f"FAULT {fault}")
    return 0 if mutants.ends_well() and watched.ends_well() else 1


if __name__ == "__main__":
    sys.exit(main())
