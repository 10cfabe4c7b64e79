"""What users of this field complain of most does not happen here."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import betabinom
from tests.support import BASE, category, part_picture, with_flaw

import kizu
from kizu.bundles.store import load
from kizu.data.manifest import read_manifest
from kizu.imaging.codec import encode_png
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import evaluate_run
from kizu.lab.train import RunConfig, train_run
from kizu.lab.update import update_run
from kizu.runs.folder import RunFolder
from kizu.runs.versions import bundle_in_force


def config(**data: object) -> RunConfig:
    return RunConfig.parse({**BASE.model_dump(mode="json"), "data": data}, where="test")


def trained(root: Path, runs: Path, name: str = "r") -> RunFolder:
    return train_run(config(root=str(root), category="plate"), runs, run_id=name).folder


FIT_IN_A_CHILD = """
import hashlib, sys, threading
import numpy as np
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.detectors.base import Embeddings
from kizu.detectors.registry import detector_config, make_detector

COUNT, SIDE, DIM = 1600, 16, 64
own, done = [], threading.Event()

def memory():  # of this process alone: pages of a file, which the system may take back, are not among it
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return int(status["RssAnon"].split()[0]) << 10

def watch():
    while not done.wait(0.005):
        own.append(memory())

def images():
    rng = np.random.default_rng(0)
    for _ in range(0, COUNT, 8):
        yield rng.standard_normal((8, SIDE, SIDE, DIM), dtype=np.float32)

def fit(images, count, budget):
    detector = make_detector(detector_config({"kind": "patchcore", "coreset_size": 300}))
    work = Work(memory_bytes=budget)
    return detector.fit(Embeddings(images, count, (128, 128)), rng=rng_for(0, "fit"), work=work)

fit((batch for batch, _ in zip(images(), range(2))), 16, 1 << 40)  # what is loaded once
before = memory()
watcher = threading.Thread(target=watch)
watcher.start()
fitted = fit(images(), COUNT, int(sys.argv[1]))
done.set()
watcher.join()
bank = hashlib.sha256(fitted.state()["bank"].tobytes()).hexdigest()
print(max(own) - before, COUNT * SIDE * SIDE * DIM * 4, bank)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc tells a process's own memory")
def test_memory_does_not_blow_up_in_the_coreset() -> None:
    """100 MB of features, chosen from without holding them, nor the distances from all patches to all picks."""

    def fitted(budget: int) -> tuple[int, int, str]:
        command = [sys.executable, "-c", FIT_IN_A_CHILD, str(budget)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        return int(told[0]), int(told[1]), told[2]

    roomy, features, bank = fitted(1 << 40)
    assert roomy > features  # what is measured is there to be seen
    tight, _, same_bank = fitted(0)
    assert tight < 0.7 * features < roomy - tight
    assert bank == same_bank


def test_an_update_needs_no_image_of_the_fit(tmp_path: Path) -> None:
    category(tmp_path, "plate", 0)
    run = trained(tmp_path, tmp_path / "runs")
    by_id = {sample.id: sample for sample in read_manifest(run.manifest).samples}
    for name in run.read_meta().fit:
        by_id[name].path.unlink()
    for number in range(3):
        encode_png(tmp_path / "more" / f"{number}.png", part_picture(900 + number))
    assert len(update_run(run, tmp_path / "more", reason="a new lot").added) == 3
    assert load(bundle_in_force(run.path)).manifest.fitted_on.fit_count == 7 + 3


def test_a_folder_of_good_pictures_alone_is_enough(tmp_path: Path) -> None:
    for number in range(12):
        encode_png(tmp_path / "pictures" / f"{number}.png", part_picture(number))
    folder = tmp_path / "pictures"
    run = train_run(config(layout="folder", root=str(folder)), tmp_path / "runs").folder
    inspector = Inspector.open(run.path)
    assert inspector.inspect(with_flaw(part_picture(50), 20, 20)).label == "NG"


def test_no_masks_leave_the_image_metrics(tmp_path: Path) -> None:
    category(tmp_path, "plate", 0)
    shutil.rmtree(tmp_path / "plate/ground_truth")
    metrics = evaluate_run(trained(tmp_path, tmp_path / "runs"))
    assert metrics.metrics["image_auroc"] == 1.0
    assert metrics.metrics["aupro_030"] is None
    assert metrics.reasons["aupro_030"]


def test_a_threshold_keeps_its_promise_on_new_good_parts() -> None:
    """Sixty lines, each with pictures of its own: fitted on 9, its threshold set on 9, then 25 new good parts."""
    settings = {
        **BASE.model_dump(mode="json"),
        "detector": {"kind": "mahalanobis"},
        "calibration": {"fraction": 0.5},
    }
    line = kizu.PipelineConfig.parse(settings, where="test")
    lines, held, new, alarms = 60, 9, 25, 0
    for number in range(lines):
        pictures = [part_picture(1000 * number + n) for n in range(2 * held + new)]
        inspector = kizu.fit(pictures[: 2 * held], line)
        assert inspector.manifest.thresholds.image.false_alarm_rate == pytest.approx(1 / (held + 1))
        alarms += sum(inspector.inspect(picture).label == "NG" for picture in pictures[2 * held :])
    # The true rate of one line is Beta(1, 9), so its alarms are beta-binomial, and all lines' the sum of such.
    drawn = betabinom.rvs(new, 1, held, size=(100_000, lines), random_state=0).sum(axis=1)
    promised = lines * new / (held + 1)
    assert promised / 4 < alarms <= np.quantile(drawn, 0.999)


@pytest.mark.parametrize("kind", ["patchcore", "padim", "mahalanobis", "patch_knn", "subspace", "ensemble"])
def test_two_runs_with_one_seed_are_the_same_to_the_last_bit(tmp_path: Path, kind: str) -> None:
    category(tmp_path, "plate", 0)
    made = []
    for name in ("one", "two"):
        settings = config(root=str(tmp_path), category="plate").with_detector(kind, {})
        made.append(load(train_run(settings, tmp_path / "runs", run_id=name).folder.bundle))
    assert made[0].graph == made[1].graph
    assert made[0].manifest.thresholds == made[1].manifest.thresholds
    for name, array in made[0].arrays.items():
        np.testing.assert_array_equal(array, made[1].arrays[name])
