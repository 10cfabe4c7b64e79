"""The commands that `kills.py` kills: what each is given, and how pictures change underneath."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from kill_ground import TRAIN, Ground, draw
from kill_judges import (
    VALUE,
    judge_export,
    judge_freeze,
    judge_inspection,
    judge_threshold,
    judge_training,
    judge_update,
)

from kizu.core.errors import KizuError

PRELOAD = [
    "onnxruntime", "scipy.linalg", "kizu.cli.main", "kizu.tasks.design", "kizu.tasks.export", "kizu.tasks.inspect",
    "kizu.tasks.threshold", "kizu.tasks.train", "kizu.tasks.update",
]  # fmt: skip
"""Loaded once, before commands are forked."""

Judge = Callable[[Ground, Path, list[str], int], Iterator[str]]


@dataclass
class Command:
    """One command line and its judge."""

    ground: Ground
    arguments: list[str]
    pictures: str
    """Folder whose pictures change underneath."""
    judge: Judge
    may_change_meanwhile: bool = True
    pick: int = 3
    """Pictures drawn: 1: any; 3: flawless ones."""
    notes: list[str] = field(default_factory=list)

    def change(self, rng: random.Random) -> None:
        """Some pictures come, are replaced, are touched or go."""
        folder = self.ground.path / self.pictures
        for _ in range(rng.choice((1, 2, 4))):
            present = sorted(folder.rglob("*.png"))
            what = rng.choice(("new", "replace", "replace in place", "touch", "remove"))
            new = rng.randrange(1000, 2000)
            fresh = self.ground.path / "fresh.png"
            draw(fresh, new * 3 + 1 if self.pick == 3 else new)
            one = rng.choice(present)
            if what == "new":
                fresh.replace(folder / f"new{new}.png")
            elif what == "replace":
                fresh.replace(one)
            elif what == "replace in place":
                one.write_bytes(fresh.read_bytes())
            elif what == "touch":
                one.touch()
            elif len(present) > 3:
                one.unlink()
            fresh.unlink(missing_ok=True)
            self.notes.append(f"{what} {'' if what == 'new' else one.name}")

    def check(self, exit_code: int) -> list[str]:
        """A word of `FAULTS` for each fault. What the judge cannot open is lost."""
        try:
            return list(self.judge(self.ground, self.ground.path / self.pictures, self.notes, exit_code))
        except (KizuError, OSError, ValueError, KeyError) as error:
            self.notes.append(repr(error))
            return ["lost"]


def inspect(ground: Ground, *more: str) -> Command:
    arguments = ["inspect", "--run-dir", str(ground.run.path), "in", "--output-dir", "out", "--csv", *more]
    return Command(ground, arguments, "in", judge_inspection, pick=1)


def watch(ground: Ground) -> Command:
    return inspect(ground, "--watch", "--interval", "0.1", "--idle", "0.6")


def train(ground: Ground) -> Command:
    return Command(
        ground, [*TRAIN, "soaked"], "sets/plate/train/good", judge_training, may_change_meanwhile=False
    )


def update(ground: Ground) -> Command:
    arguments = ["update", "--run-dir", str(ground.run.path), "--images", "more", "--reason", "soak"]
    return Command(ground, arguments, "more", judge_update, may_change_meanwhile=False)


def threshold(ground: Ground) -> Command:
    arguments = ["threshold", str(ground.run.path), "--value", str(VALUE), "--reason", "soak"]
    return Command(ground, arguments, "more", judge_threshold)


def export(ground: Ground) -> Command:
    return Command(ground, ["export", "--run-dir", str(ground.run.path)], "more", judge_export)


def freeze(ground: Ground) -> Command:
    arguments = ["freeze", "--config", "pipeline.yaml", "--note", "soak", "--output", "assets/fixed.json"]
    return Command(ground, arguments, "more", judge_freeze)


COMMANDS: dict[str, Callable[[Ground], Command]] = {
    "inspect": inspect, "watch": watch, "train": train, "update": update, "threshold": threshold,
    "export": export, "freeze": freeze,
}  # fmt: skip
