"""Batches come in order, ahead of need but not far ahead, and stop at once."""

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kizu.core.errors import ImageError, UnreadableError
from kizu.core.room import Room
from kizu.core.threads import limit_cores
from kizu.data.batches import place_source, stream
from kizu.data.manifest import Sample
from kizu.imaging.codec import Decoded, Limits, encode_png
from kizu.imaging.placement import PlacementConfig, place

SMALL = PlacementConfig(image_size=(16, 24))


def image(number: int) -> np.ndarray:
    return np.full((20 + number, 30, 3), number, dtype=np.uint8)


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """23 images; the grey value is the number."""
    made = []
    for number in range(23):
        encode_png(tmp_path / f"{number:02}.png", image(number))
        made.append(Sample(f"{number:02}.png", tmp_path / f"{number:02}.png"))
    return made


@pytest.mark.parametrize(("batch_size", "workers"), [(1, 1), (5, 2), (23, 3), (100, None)])
def test_batches_hold_all_images_in_order(
    samples: list[Sample], batch_size: int, workers: int | None
) -> None:
    with nullcontext() if workers is None else limit_cores(workers):
        batches = list(stream(samples, SMALL, batch_size=batch_size))
    assert [s for batch in batches for s in batch.samples] == samples
    assert [len(batch.samples) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert np.concatenate([b.images for b in batches])[:, 0, 0, 0].tolist() == list(range(23))
    assert [size for b in batches for size in b.sizes] == [(20 + n, 30) for n in range(23)]
    assert all(b.images.shape == (len(b.samples), 16, 24, 3) for b in batches)


def test_the_original_is_kept_when_asked_for(samples: list[Sample]) -> None:
    placed = place_source(samples[2], SMALL, keep_original=True)
    assert placed.original is not None
    assert np.array_equal(placed.original, image(2))
    assert np.array_equal(placed.image, place(image(2), SMALL))
    assert place_source(samples[2], SMALL).original is None


def test_further_pages_are_told_with_the_picture(tmp_path: Path, samples: list[Sample]) -> None:
    pages = [Image.fromarray(image(number)) for number in range(3)]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert place_source(tmp_path / "pages.tif", SMALL).pages == 3
    assert place_source(samples[0], SMALL).pages == 1
    assert place_source(image(0), SMALL).pages == 1


def test_pictures_that_find_no_room_wait_for_each_other(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, most = 0, 0
    lock = threading.Lock()

    def watched(pixels: np.ndarray, placement: PlacementConfig) -> np.ndarray:
        nonlocal held, most
        with lock:
            held += pixels.shape[0] * pixels.shape[1]
            most = max(most, held)
        time.sleep(0.002)
        with lock:
            held -= pixels.shape[0] * pixels.shape[1]
        return place(pixels, placement)

    monkeypatch.setattr("kizu.imaging.codec.pixel_room", lambda room=Room(1300): room)
    monkeypatch.setattr("kizu.data.batches.place", watched)
    monkeypatch.setattr("kizu.data.batches.cores", lambda: 4)
    assert sum(len(batch.samples) for batch in stream(samples, SMALL, batch_size=8)) == 23
    assert 630 <= most <= 1300


def test_samples_paths_bytes_and_arrays_give_the_same(samples: list[Sample]) -> None:
    path = samples[7].path
    for source in (samples[7], path, path.read_bytes(), image(7), image(7)[..., 0]):
        (batch,) = stream([source], SMALL)
        assert np.array_equal(batch.images[0], place(image(7), SMALL))


def test_nothing_gives_no_batch() -> None:
    assert list(stream([], SMALL)) == []


def test_a_broken_file_stops_the_stream_and_is_named(samples: list[Sample]) -> None:
    samples[9].path.write_bytes(b"\x89PNG\r\n\x1a\n broken")
    batches = stream(samples, SMALL, batch_size=4)
    assert [len(next(batches).samples) for _ in range(2)] == [4, 4]
    with pytest.raises(ImageError, match=r"09\.png"):
        next(batches)


def test_broken_files_are_handed_over_in_order_and_left_out(samples: list[Sample]) -> None:
    for number in (0, 9, 10, 22):
        samples[number].path.write_bytes(b"")
    broken: list[str] = []
    here = threading.get_ident()

    def on_broken(sample: Sample, error: ImageError) -> None:
        assert threading.get_ident() == here
        assert error.path == sample.path
        broken.append(sample.id)

    batches = list(stream(samples, SMALL, batch_size=4, on_broken=on_broken))
    assert broken == ["00.png", "09.png", "10.png", "22.png"]
    assert [len(b.samples) for b in batches] == [4, 4, 4, 4, 3]
    assert [s.id for b in batches for s in b.samples] == [s.id for s in samples if s.id not in broken]


def test_a_file_that_cannot_be_read_now_is_not_left_out_as_broken(samples: list[Sample]) -> None:
    samples[9].path.unlink()
    with pytest.raises(UnreadableError, match=r"09\.png"):
        list(stream(samples, SMALL, on_broken=lambda *_: None))


def test_a_picture_of_one_value_is_refused_where_it_would_teach(
    samples: list[Sample], tmp_path: Path
) -> None:
    assert sum(len(batch.samples) for batch in stream(samples, SMALL)) == 23  # all of one value
    with pytest.raises(ImageError, match=r"00\.png: all of its pixels have one value"):
        list(stream(samples, SMALL, refuse_flat=True))
    nearly = image(5)
    nearly[-1, -1, 2] += 1
    encode_png(samples[5].path, nearly)
    broken: list[Sample] = []
    batches = list(stream(samples, SMALL, refuse_flat=True, on_broken=lambda s, _: broken.append(s)))
    assert [sample for batch in batches for sample in batch.samples] == [samples[5]]
    assert len(broken) == 22


def test_only_broken_files_give_no_batch(samples: list[Sample]) -> None:
    for sample in samples:
        sample.path.write_bytes(b"")
    assert list(stream(samples, SMALL, on_broken=lambda *_: None)) == []


def test_the_limit_on_pixels_reaches_the_decoder(samples: list[Sample]) -> None:
    with pytest.raises(ImageError, match="allowed"):
        list(stream(samples, SMALL, limits=Limits(max_pixels=100)))


def test_no_more_than_a_batch_is_read_ahead() -> None:
    taken = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield image(0)

    with limit_cores(2):
        batches = stream(endless(), SMALL, batch_size=8)
        next(batches)
        next(batches)
    assert taken <= 16 + 8 + 2
    batches.close()


def test_closing_drops_what_is_queued(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0

    def slow(_: Path, **__: object) -> AbstractContextManager[Decoded]:
        nonlocal begun
        begun += 1
        time.sleep(0.02)
        return nullcontext(Decoded(image(0), 0.0))

    monkeypatch.setattr("kizu.data.batches.decoded", slow)
    with limit_cores(2):
        batches = stream([Path("x")] * 1000, SMALL, batch_size=50)
        next(batches)
    batches.close()
    stopped = begun
    time.sleep(0.1)
    assert begun - stopped <= 2  # those already in the threads' hands
    assert begun <= 110


def test_an_error_in_the_consumer_ends_the_threads(samples: list[Sample]) -> None:
    def consume() -> None:
        for _ in stream(samples, SMALL, batch_size=2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        consume()
    deadline = time.monotonic() + 5
    while any(t.name.startswith("kizu_") for t in threading.enumerate()):
        assert time.monotonic() < deadline, "decoding threads are still alive"
        time.sleep(0.01)
