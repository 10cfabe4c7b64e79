"""What is said of all images follows from the sample as this machine's costs do, and is compared with the budget.

The machine here has a clock of its own: a fit, an embedding and a search take what they are told to take, so that what
all images would take is known.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tests.support import BASE, part_picture

import kizu.lab.budget as budgets
import kizu.lab.recommend as module
import kizu.lab.sample_trial as trials
from kizu.core.randomness import rng_for
from kizu.core.types import U8, Scores
from kizu.data.defects import PAINTERS
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.imaging.codec import decode, encode_png
from kizu.lab.budget import Budget, Cost
from kizu.lab.recommend import FIT_SAMPLE, HELD_SAMPLE, Estimate, recommend
from kizu.lab.sample_trial import LATENCY_RUNS
from kizu.metrics.overlap import aupro
from kizu.metrics.ranking import auroc
from kizu.pipeline.fitting import WORKING_BYTES, UnfittedPipeline

COUNT = 40
"""Good images: 10 are held, the other 30 are the sample."""
HELD, SAMPLE = 10, 30
PATCHES = 64

BANK = {"detector": {"kind": "patchcore", "coreset": 0.5}}
WHOLE = {"detector": {"kind": "patch_knn"}}
FIXED = {"detector": {"kind": "patchcore", "coreset_size": 200}}
GAUSSIAN = {"detector": {"kind": "mahalanobis"}}


@dataclass
class Machine:
    """What things take, in seconds."""

    to_begin: float = 3.0
    per_image: float = 0.25
    to_embed: float = 0.004
    per_vector: float = 0.00001
    alone: float = 0.0
    """What an embedding takes more when nothing follows it: clocks are not exact."""
    now: float = 0.0
    fits: int = 0
    """How many were timed or not."""

    def perf_counter(self) -> float:
        return self.now

    def fit(self, unfitted: UnfittedPipeline, images: U8) -> Any:
        """In place of `_fit`: a pipeline that finds nothing and takes its time."""
        self.fits += 1
        self.now += self.to_begin + self.per_image * len(images)
        if self.fits == 1:
            self.now += 1000  # what is prepared once is nobody's cost
        settings = unfitted.config.detector
        vectors = settings.bank_size(len(images) * PATCHES) if hasattr(settings, "bank_size") else 0

        def score(images: U8) -> Scores:
            self.now += len(images) * (self.to_embed + self.per_vector * vectors)
            found = images.astype(np.float32).std(axis=(1, 2, 3))
            return Scores(found, images.mean(axis=3, dtype=np.float32))

        def embed(images: U8) -> None:
            self.now += len(images) * (self.to_embed + self.alone)

        embedder = SimpleNamespace(embed=embed, grid_hw=unfitted.embedder.grid_hw)
        return SimpleNamespace(score=score, embedder=embedder)

    def fit_seconds(self, images: int) -> float:
        """The truth about a fit on so many."""
        return self.to_begin + self.per_image * images

    def latency_ms(self, vectors: int) -> float:
        """The truth about one image."""
        return 1000 * (self.to_embed + self.per_vector * vectors)


@pytest.fixture(scope="module")
def plate(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    root = tmp_path_factory.mktemp("set")
    for number in range(COUNT):
        encode_png(root / "plate/train/good" / f"{number:02}.png", part_picture(number))
    for number in range(2):
        encode_png(root / "plate/test/good" / f"{number}.png", part_picture(900 + number))
    return scan(root, "plate")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    machine = Machine()
    monkeypatch.setattr(trials, "time", machine)
    monkeypatch.setattr(trials, "_fit", machine.fit)
    monkeypatch.setattr(module, "memory_in_use", lambda: 500 << 20)
    return machine


def estimated(plate: Manifest, change: Any, budget: Budget = Budget(memory_mb=1e9)) -> Estimate:
    (estimate,) = recommend(plate, budget, base=BASE, candidates={"it": change}).estimates
    return estimate


@pytest.mark.parametrize("change", [BANK, FIXED, GAUSSIAN], ids=["bank", "fixed", "gaussian"])
@pytest.mark.parametrize(("to_begin", "per_image"), [(3.0, 0.25), (0.0, 0.5), (20.0, 0.0)])
def test_a_fit_on_all_images_takes_what_was_said(
    plate: Manifest, machine: Machine, change: Any, to_begin: float, per_image: float
) -> None:
    """And scoring the images that are held out is part of it."""
    machine.to_begin, machine.per_image = to_begin, per_image
    found = estimated(plate, change)
    held_out = COUNT * BASE.calibration.fraction * found.latency_ms / 1000
    assert found.fit_seconds == pytest.approx(machine.fit_seconds(COUNT) + held_out)
    assert held_out > 0.05


def test_a_larger_part_that_is_held_out_costs_more_scoring(plate: Manifest, machine: Machine) -> None:
    base = BASE.changed({"calibration": {"fraction": 0.8}}, where="test")
    (more,) = recommend(plate, Budget(memory_mb=1e9), base=base, candidates={"it": BANK}).estimates
    less = estimated(plate, BANK)
    assert more.fit_seconds - less.fit_seconds == pytest.approx(0.4 * COUNT * less.latency_ms / 1000)


def test_a_noisy_clock_never_makes_a_fit_cheaper_than_nothing(plate: Manifest, machine: Machine) -> None:
    machine.per_image = -0.05  # the fit on half of the sample happened to be slower
    assert estimated(plate, GAUSSIAN).fit_seconds >= machine.to_begin - 0.05 * SAMPLE


@pytest.mark.parametrize(
    ("change", "vectors"),
    [(BANK, COUNT * PATCHES // 2), (WHOLE, COUNT * PATCHES), (FIXED, 200), (GAUSSIAN, 0)],
    ids=["bank", "whole", "fixed", "gaussian"],
)
def test_one_image_takes_what_the_bank_of_all_images_makes_it_take(
    plate: Manifest, machine: Machine, change: Any, vectors: int
) -> None:
    assert estimated(plate, change).latency_ms == pytest.approx(machine.latency_ms(vectors))


def test_a_bank_that_is_picked_group_by_group_is_no_smaller_than_its_floor(
    plate: Manifest, machine: Machine
) -> None:
    base = BASE.changed({"calibration": {"fraction": None}}, where="test")
    (found,) = recommend(plate, Budget(memory_mb=1e9), base=base, candidates={"it": BANK}).estimates
    assert found.latency_ms == pytest.approx(machine.latency_ms(COUNT * PATCHES))


def test_an_embedding_that_takes_all_the_time_is_not_scaled(plate: Manifest, machine: Machine) -> None:
    machine.per_vector = 0.0
    assert estimated(plate, WHOLE).latency_ms == pytest.approx(1000 * machine.to_embed)


@pytest.mark.parametrize("change", [GAUSSIAN, FIXED], ids=["gaussian", "fixed"])
def test_what_does_not_grow_with_the_images_is_what_was_measured(
    plate: Manifest, machine: Machine, change: Any
) -> None:
    machine.alone = 1.0
    assert estimated(plate, change).latency_ms == pytest.approx(
        machine.latency_ms(200 if change is FIXED else 0)
    )


def test_a_call_takes_the_median_of_those_after_two_that_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Machine()
    monkeypatch.setattr(trials, "time", clock)
    takes = [50.0, 40.0, *np.random.default_rng(0).permutation(np.arange(1.0, LATENCY_RUNS + 1))]
    seconds = iter(takes)

    def call() -> None:
        clock.now += next(seconds)

    assert trials.milliseconds(call) == pytest.approx(1000 * (LATENCY_RUNS + 1) / 2)
    assert list(seconds) == []


def test_memory_is_what_is_held_before_and_what_a_fit_on_all_images_needs(
    plate: Manifest, machine: Machine
) -> None:
    found = estimated(plate, WHOLE)
    needed = UnfittedPipeline.prepare(found.config).estimate_bytes(COUNT)
    assert found.memory_bytes == (500 << 20) + needed
    assert needed > WORKING_BYTES
    more = replace(plate, samples=plate.train_good()[:20])
    assert estimated(more, WHOLE).memory_bytes < found.memory_bytes


def test_a_budget_that_is_met_exactly_is_kept_and_one_below_is_not(plate: Manifest, machine: Machine) -> None:
    free = estimated(plate, BANK)
    megabytes = free.memory_bytes / 2**20
    exact = Budget(latency_ms=free.latency_ms, memory_mb=megabytes, fit_seconds=free.fit_seconds)
    less = 1 - 1e-6
    assert estimated(plate, BANK, exact).exceeds == ()
    for name, budget, unit in (
        ("latency", replace(exact, latency_ms=free.latency_ms * less), "ms"),
        ("memory", replace(exact, memory_mb=megabytes * less), "MB"),
        ("fit", replace(exact, fit_seconds=free.fit_seconds * less), "s"),
    ):
        (told,) = estimated(plate, BANK, budget).exceeds
        assert told.split()[0] == name
        assert f" {unit} of " in told


def test_what_breaks_a_budget_is_told_with_both_numbers(plate: Manifest, machine: Machine) -> None:
    machine.to_begin, machine.per_image = 100.0, 0.0
    found = estimated(plate, GAUSSIAN, Budget(memory_mb=1e9, fit_seconds=12, latency_ms=2))
    assert found.exceeds == ("fit 100 s of 12", "latency 4 ms of 2")


def test_without_a_memory_budget_it_is_what_the_machine_has_free(
    plate: Manifest, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budgets, "free_memory", lambda: 1 << 50)
    assert estimated(plate, GAUSSIAN, Budget()).exceeds == ()
    monkeypatch.setattr(budgets, "free_memory", lambda: 100 << 20)
    (told,) = estimated(plate, GAUSSIAN, Budget()).exceeds
    assert told.endswith("MB of 100")


@pytest.mark.parametrize(
    ("good", "held", "sample"), [(4, 1, 3), (8, 2, 6), (40, 10, 30), (300, HELD_SAMPLE, FIT_SAMPLE)]
)
def test_the_sample_and_what_flaws_are_painted_into_share_no_image(
    plate: Manifest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, good: int, held: int, sample: int
) -> None:
    seen: list[tuple[list[str], list[str], int]] = []

    class Spy:
        def __init__(self, config: Any, fit: Any, held: Any, count: int, work: Any) -> None:
            seen.append(([s.id for s in fit], [s.id for s in held], count))

        config = BASE

        def fit(self, base_bytes: int) -> tuple[None, Cost]:
            return None, Cost(1.0, 1, 1.0)

        def score_painted(self, pipeline: None) -> tuple[float, float]:
            return 0.5, 0.5

    monkeypatch.setattr(module, "SampleTrial", Spy)
    some = plate.train_good()
    samples = tuple(replace(some[i % COUNT], id=f"train/good/{i}.png") for i in range(good))
    recommend(replace(plate, samples=samples), base=BASE, candidates={"it": BANK})
    ((fitted, painted, count),) = seen
    assert (len(fitted), len(painted), count) == (sample, held, good)
    assert len({*fitted, *painted}) == sample + held


def test_all_kinds_of_flaws_are_painted_into_every_held_image(plate: Manifest, machine: Machine) -> None:
    """The fake scorer looks at contrast: what it says can be worked out by hand."""
    found = estimated(plate, GAUSSIAN)
    good = plate.train_good()
    order = rng_for(BASE.seed, "recommend").permutation(COUNT)[:HELD]
    held = [decode(good[index].path) for index in order]
    rng = rng_for(BASE.seed, "painted")
    flawed = [paint(image, rng, None) for image in held for paint in PAINTERS.values()]
    images = np.stack([*held, *(item.image for item in flawed)])
    labels = np.arange(len(images)) >= HELD
    masks = [np.zeros((64, 64), bool)] * HELD + [item.mask for item in flawed]
    assert found.painted_auroc == pytest.approx(auroc(labels, images.astype(np.float32).std(axis=(1, 2, 3))))
    assert found.painted_aupro == pytest.approx(
        aupro(list(images.mean(axis=3, dtype=np.float32)), masks, 0.3)
    )
    assert found.worth == pytest.approx((found.painted_auroc + found.painted_aupro) / 2)
