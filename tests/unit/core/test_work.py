"""What a piece of work may use: memory, disk, cores; and two ways to share it out that write the same."""

import gc
import json
import multiprocessing
import pickle
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from tests.support import fit, fitted, part_picture, with_flaw

from kizu.core import threads
from kizu.core.errors import ConfigError, OutputError
from kizu.core.types import U8
from kizu.core.work import FEATURES_VARIABLE, MEMORY_VARIABLE, SCRATCH_VARIABLE, Work, memory_in_use
from kizu.data.batches import stream
from kizu.data.listing import list_images
from kizu.detectors.registry import detector_config, make_detector
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.inspection.folder import FolderRunner
from kizu.inspection.inspector import Inspector

T = TypeVar("T")
R = TypeVar("R")


def test_features_beyond_the_budget_lie_in_a_file_that_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "1")
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path))
    with Work().feature_array(1000, 100) as small:
        assert not isinstance(small, np.memmap)
    with Work().feature_array(10_000, 100) as large:
        assert isinstance(large, np.memmap)
        large[:] = 1
        assert list(tmp_path.iterdir())
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_is_told_before_anything_is_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "1")
    monkeypatch.setenv(SCRATCH_VARIABLE, str(tmp_path))
    with pytest.raises(OutputError, match="MB free"), Work().feature_array(1 << 40, 100):
        pass


def test_the_budget_is_part_of_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MEMORY_VARIABLE, raising=False)
    assert 0 < Work().memory_budget() < 1 << 50


def test_a_fit_from_disk_is_the_same_fit(good_pictures: U8, monkeypatch: pytest.MonkeyPatch) -> None:
    detector = make_detector(detector_config({"kind": "patchcore", "coreset": 0.1}))
    in_memory = fit(detector, good_pictures).fitted.state()["bank"]
    monkeypatch.setenv(MEMORY_VARIABLE, "0")
    assert (fit(detector, good_pictures).fitted.state()["bank"] == in_memory).all()


def test_what_was_set_wins_over_the_environment_and_that_over_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, "7")
    monkeypatch.setenv(FEATURES_VARIABLE, "3")
    assert Work().memory_budget() == 7 << 20
    assert Work(memory_bytes=5).memory_budget() == 5
    assert Work().features_budget() == 3 << 20
    assert Work(features_bytes=0).features_budget() == 0
    monkeypatch.delenv(FEATURES_VARIABLE)
    assert Work().features_budget() == 0


@pytest.mark.parametrize("given", ["lots", "-1", "1.5", "²"])
def test_a_setting_of_the_environment_that_is_no_number_names_its_variable(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MEMORY_VARIABLE, given)
    with pytest.raises(ConfigError, match=MEMORY_VARIABLE):
        Work().memory_budget()


@pytest.mark.parametrize("count", [0, -2])
def test_less_than_one_core_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"at least 1, got {count}"):
        Work(cores=count)


def test_cores_bound_everything_that_is_called_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 6)
    assert Work().core_count == 6
    assert Work(cores=9).core_count == 6
    with Work(cores=2).limit():
        assert threads.cores() == 2
        assert Work().core_count == Work(cores=4).core_count == 2
        with Work(cores=5).limit():
            assert threads.cores() == 2
    assert threads.cores() == 6


@pytest.mark.parametrize("count", [1, 2])
def test_decoding_and_folders_keep_to_the_cores_too(
    count: int, monkeypatch: pytest.MonkeyPatch, good_pictures: U8
) -> None:
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    made: list[int] = []
    executor = threads.ThreadPoolExecutor

    def counted(workers: int, **options: Any) -> Any:
        made.append(workers)
        return executor(workers, **options)

    monkeypatch.setattr(threads, "ThreadPoolExecutor", counted)
    work = Work(cores=count)
    with work.limit():
        assert len(list(stream(list(good_pictures[:9]), PlacementConfig(image_size=(64, 64))))) == 2
    list(work.share(lambda: lambda item: 2 * item, range(9)))
    assert made
    assert set(made) == {count}


@dataclass(frozen=True)
class Processes:
    """Another pool: each worker is a process, makes its function once, and sends results back."""

    def map(
        self, make: Callable[[], Callable[[T], R]], items: Iterable[T], *, workers: int, ahead: int
    ) -> Generator[tuple[T, R], None, None]:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            workers, mp_context=context, initializer=_start, initargs=(pickle.dumps(make),)
        ) as pool:
            waiting = list(items)
            yield from zip(waiting, pool.map(_call, waiting), strict=True)


_made: list[Callable[[Any], Any]] = []


def _start(make: bytes) -> None:
    _made.append(pickle.loads(make)())  # noqa: S301 - from the test


def _call(item: Any) -> Any:
    return _made[0](item)


def test_another_pool_writes_the_same_lines_as_threads(good_pictures: U8, tmp_path: Path) -> None:
    bundle = fitted(good_pictures).bundle
    for number in range(6):
        picture = with_flaw(part_picture(60 + number), 20, 24) if number % 2 else part_picture(60 + number)
        encode_png(tmp_path / "in" / f"{number}.png", picture)
    (tmp_path / "in/broken.png").write_bytes(b"nothing")
    samples = list_images(tmp_path / "in")
    lines = {}
    for name, work in (("threads", Work(cores=2)), ("processes", Work(cores=2, pool=Processes()))):
        FolderRunner(Inspector(bundle, work=work), tmp_path / name).run(samples)
        rows = [json.loads(line) for line in (tmp_path / name / "preds.jsonl").read_text().splitlines()]
        for row in rows:
            row.pop("timings", None)
            for key in ("mask_path", "overlay_path"):
                if key in row:
                    assert Path(row[key]).is_file()
                    row[key] = Path(row[key]).name
        lines[name] = rows
    assert [row["image_path"] for row in lines["processes"]] == [str(sample.path) for sample in samples]
    for one, other in zip(lines["threads"], lines["processes"], strict=True):
        assert other.pop("pred_score", 0) == pytest.approx(one.pop("pred_score", 0), rel=1e-5)
        assert (one.get("label"), one.get("error")) == (other.get("label"), other.get("error"))


def test_a_memory_estimate_begins_at_what_is_held_now_and_not_at_an_earlier_peak() -> None:
    gc.collect()  # what earlier tests left would go meanwhile
    before = memory_in_use()
    large = np.ones(40 << 20, np.uint8)
    assert memory_in_use() > before + (30 << 20)
    del large
    gc.collect()
    assert memory_in_use() < before + (20 << 20)


def test_notes_are_told_in_order_and_do_not_travel_to_other_machines() -> None:
    told: list[str] = []
    work = Work(on_note=told.append)
    work.note("one", "two")
    work.quiet().note("three")
    assert told == ["one", "two", "three"]
    assert work.portable().on_note is None
    Work().note("nobody listens")
