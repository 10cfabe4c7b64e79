"""Where `kills.py` kills commands: a drawn data set, a run of it, pictures to inspect, and what may not be left."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import kizu.cli.main
from kizu.imaging.codec import encode_png
from kizu.runs.folder import RunFolder
from kizu.runs.versions import read_history

SIDE_PX = 64
PICTURES = 16
TRAIN = [
    "train", "--backbone", "tiny", "--image-size", str(SIDE_PX), "--coreset", "0.2", "--data-root", "sets",
    "--category", "plate", "--output-dir", "runs", "--run-id",
]  # fmt: skip


def draw(path: Path, seed: int) -> None:
    """A plate with a disc; every third one has a checkered flaw. Uncompressed size and name say nothing about it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX] / SIDE_PX
    plate = 90 + 20 * x + 60 * ((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.1)
    grey = np.clip(plate + rng.normal(0, 4, (SIDE_PX, SIDE_PX)), 0, 255).astype(np.uint8)
    if seed % 3 == 0:
        top, left = rng.integers(0, SIDE_PX - 12, 2)
        grey[top : top + 12, left : left + 12] = np.where(np.indices((12, 12)).sum(axis=0) % 4 < 2, 255, 0)
    encode_png(path, np.repeat(grey[..., None], 3, axis=2))


@dataclass
class Ground:
    """The folder of one cycle: a data set, a run of it, pictures to inspect."""

    path: Path
    seed: int

    @classmethod
    def make_template(cls, path: Path) -> "Ground":
        from typer.testing import CliRunner

        for number in range(12):
            draw(path / f"sets/plate/train/good/{number}.png", 3 * number + 1)
        for number in range(4):
            draw(path / f"sets/plate/test/good/{number}.png", 3 * number + 101)
        for number in range(PICTURES):
            draw(path / f"in/{'lot' if number % 2 else '.'}/{number:02}.png", 200 + number)
        for number in range(4):
            draw(path / f"more/{number}.png", 3 * number + 301)
        (path / "tmp").mkdir()
        (path / "pipeline.yaml").write_text(
            f"embedding: {{backbone: tiny}}\nplacement: {{image_size: {SIDE_PX}}}\n"
        )
        before = Path.cwd()
        os.chdir(path)
        try:
            made = CliRunner().invoke(kizu.cli.main.app, [*TRAIN, "template"])
            assert made.exit_code == 0, made.output
        finally:
            os.chdir(before)
        return cls(path, 0)

    @property
    def run(self) -> RunFolder:
        return RunFolder(self.path / "runs/patchcore/plate/template")

    def copy(self, path: Path, seed: int) -> "Ground":
        shutil.copytree(self.path, path)
        return Ground(path, seed)

    def litter(self) -> list[str]:
        """Hidden and temporary files and folders; whatever lies in the temporary folder; versions never in force."""
        found = [
            path
            for path in self.path.rglob("*")
            if path.name.startswith(".")
            or path.suffix in (".part", ".lock", ".tmp")
            or path.parent.name == "tmp"
        ]
        known = {step.version for step in read_history(self.run.path).steps}
        found += [
            p for p in self.run.path.glob("versions/*") if p.name.isdigit() and int(p.name) not in known
        ]
        return sorted({str(path.relative_to(self.path)) for path in found})
