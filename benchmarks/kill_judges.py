"""What must be there when a command that `kills.py` has killed has come to its end: a word for each fault.

Each judge is told the folder, the pictures that changed underneath, and notes: of what changed, to add what it found.
"""

import json
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from kill_ground import Ground

from kizu.bundles.store import load
from kizu.core.hashing import hash_file
from kizu.data.manifest import read_manifest
from kizu.imaging.codec import decode
from kizu.inspection.inspector import Inspection, Inspector
from kizu.lab.held_out import list_added
from kizu.protocol.freeze import read_frozen
from kizu.runs.folder import RunFolder, open_run
from kizu.runs.versions import FIRST, read_history
from kizu.runtimes.model import read_model

VALUE = 0.25
"""The threshold that a killed command sets."""
PICTURES = ("mask_path", "overlay_path")


@cache
def open_inspector(run: Path) -> Inspector:
    return Inspector.open(run)


def judge_inspection(ground: Ground, pictures: Path, notes: list[str], exit_code: int) -> Iterator[str]:
    """Each picture that is there has one line that stands, about what it is now, and the report counts these lines."""
    if exit_code != 0:
        yield "failed"
    inspector = open_inspector(Ground(ground.path.with_name("template"), 0).run.path)
    content = (ground.path / "out/preds.jsonl").read_bytes()
    lines = [json.loads(line) for line in content.split(b"\n") if line]
    standing = [line for line in lines if not line.get("superseded")]
    for picture in sorted(pictures.rglob("*.png")):
        about = [line for line in standing if ground.path / line["image_path"] == picture]
        if len(about) != 1:
            notes.append(f"{picture.name} has {len(about)} lines")
            yield "doubled" if about else "lost"
        fresh = inspector.inspect(picture)
        for line in about:
            if not tells(ground, line, fresh):
                notes.append(f"{picture.name} is {fresh.label} {fresh.score:.6g}; {line}")
                yield "stale"
    named = {ground.path / path for line in standing for key, path in line.items() if key in PICTURES}
    for place in ("masks", "overlays"):
        for shown in (ground.path / "out" / place).rglob("*.*g"):
            if shown not in named:
                yield "unclaimed"
    told = json.loads((ground.path / "out/report.json").read_text())
    counted = told["num_images"] + told["num_errors"]
    if counted != len(standing):
        notes.append(f"the report counts {counted}, {len(standing)} lines stand")
        yield "stale"


def tells(ground: Ground, line: dict[str, Any], fresh: Inspection) -> bool:
    """Whether a line and its mask say what a fresh inspection does."""
    if line.get("label") != fresh.label or not np.isclose(line["pred_score"], fresh.score, rtol=1e-4):
        return False
    mask = decode(ground.path / line["mask_path"])[..., 0] > 0
    return np.array_equal(mask, fresh.mask > 0)


def judge_training(ground: Ground, pictures: Path, notes: list[str], exit_code: int) -> Iterator[str]:
    """The run is there, whole, of the pictures that are there; or of those that were, whole then, and that is said."""
    changed = bool(notes)
    made = ground.path / "runs/patchcore/plate"
    names = {path.name for path in made.iterdir() if not path.name.startswith(".")}
    if "soaked" not in names:
        yield "lost"
        return
    if names != {"soaked", "template"}:
        yield "doubled"
    run = open_run(made / "soaked")
    known = {sample.sha256 for sample in read_manifest(run.manifest).train_good()}
    if known != hashes(pictures):
        if exit_code != 2:
            yield "stale"
    elif exit_code != 0:
        yield "failed"
    bundle = load(run.bundle)
    if run.read_meta().bundle_sha256 != bundle.stored_sha256 or not is_carded(run, bundle.stored_sha256):
        notes.append("meta.json or the card is of another bundle")
        yield "stale"
    reference = load(ground.run.bundle).arrays
    if not changed and not all(
        np.array_equal(reference[name], array) for name, array in bundle.arrays.items()
    ):
        notes.append("it learned something else")
        yield "stale"


def judge_update(ground: Ground, pictures: Path, notes: list[str], exit_code: int) -> Iterator[str]:
    """Each picture that is there was learned once by the version in force, and the card is of that."""
    if exit_code not in ((0, 2) if notes else (0,)):  # 2: all that is there now was learned before
        yield "failed"
    learned = Counter(sample.sha256 for sample in list_added(ground.run))
    yield from ("lost" for content in hashes(pictures) if learned[content] == 0)
    yield from ("doubled" for count in learned.values() if count > 1)
    history, bundle = read_history(ground.run.path), load(ground.run.bundle)
    first = load(ground.run.path / "bundle").manifest.fitted_on.fit_count
    if bundle.manifest.version != history.in_force or history.lineage()[0] != FIRST:
        notes.append("the version in force is not the one that it says")
        yield "lost"
    if bundle.manifest.fitted_on.fit_count != first + learned.total():
        notes.append(f"fitted on {bundle.manifest.fitted_on.fit_count}, learned {learned.total()}")
        yield "lost"
    if exit_code == 0 and not is_carded(ground.run, bundle.stored_sha256):
        notes.append("the card is of another version")
        yield "stale"


def judge_threshold(ground: Ground, _: Path, __: list[str], exit_code: int) -> Iterator[str]:
    """The value is in force, made once, of the version that was, and the card is of it."""
    if exit_code != 0:
        yield "failed"
    history, bundle = read_history(ground.run.path), load(ground.run.bundle)
    if bundle.manifest.thresholds.image.value != VALUE or bundle.manifest.version != history.in_force:
        yield "lost"
    if len(history.steps) != 1:
        yield "doubled"
    told = ground.run.read_thresholds()
    if told is None or told.bundle_sha256 != bundle.stored_sha256 or len(told.before) != 1:
        yield "stale"
    if not is_carded(ground.run, bundle.stored_sha256):
        yield "stale"


def judge_export(ground: Ground, _: Path, __: list[str], exit_code: int) -> Iterator[str]:
    """The file and what is said of it are of the bundle in force."""
    if exit_code != 0:
        yield "failed"
    model = read_model(ground.run.path / "export/model.onnx")
    told = json.loads((ground.run.path / "export/export_meta.json").read_text())
    check = json.loads((ground.run.path / "export/check/check.json").read_text())
    made_of = {model.bundle_sha256, told["bundle_sha256"], check["bundle_sha256"]}
    if made_of != {load(ground.run.bundle).stored_sha256}:
        yield "stale"
    if told["models"]["model.onnx"]["files"]["model.onnx"]["sha256"] != hash_file(model.path):
        yield "stale"
    if {path.name for path in model.path.parent.iterdir()} != {"model.onnx", "export_meta.json", "check"}:
        yield "doubled"


def judge_freeze(ground: Ground, _: Path, __: list[str], exit_code: int) -> Iterator[str]:
    """The one file is there and intact."""
    if exit_code != 0:
        yield "failed"
    read_frozen(ground.path / "assets/fixed.json")
    if [path.name for path in (ground.path / "assets").iterdir()] != ["fixed.json"]:
        yield "doubled"


def hashes(pictures: Path) -> set[str]:
    return {hash_file(path) for path in pictures.rglob("*.png")}


def is_carded(run: RunFolder, sha256: str | None) -> bool:
    """Whether the model card is of that bundle."""
    return f"Bundle {str(sha256)[:16]}," in (run.path / "model_card.md").read_text()
