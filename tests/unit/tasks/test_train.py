"""Which image size a training has: the user's, or one that fits."""

from pathlib import Path

import pytest

from kizu.core.work import Work
from kizu.tasks.lab_options import PipelineOptions
from kizu.tasks.options import DataOptions
from kizu.tasks.train import run_config

VIT = "vit_s14_focus"


def size_of(options: PipelineOptions) -> tuple[tuple[int, int], list[str]]:
    told: list[str] = []
    return run_config(options, DataOptions(), Work(on_note=told.append)).placement.image_size, told


def test_without_one_it_is_the_nearest_that_the_backbone_takes() -> None:
    size, told = size_of(PipelineOptions(backbone=VIT))
    assert size == (252, 252)
    assert len(told) == 1
    assert size_of(PipelineOptions()) == ((256, 256), [])


@pytest.mark.parametrize("image_size", ["256", "224x448"])
def test_the_users_own_stays_as_it_is(image_size: str) -> None:
    size, told = size_of(PipelineOptions(backbone=VIT, image_size=image_size))
    assert size == tuple(map(int, image_size.split("x") if "x" in image_size else [image_size] * 2))
    assert told == []


def test_that_of_the_config_file_stays_too(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("placement: {image_size: 256}\n")
    assert size_of(PipelineOptions(config_file=file, backbone=VIT)) == ((256, 256), [])
    file.write_text(f"embedding: {{backbone: {VIT}}}\nplacement: {{resample: bicubic}}\n")
    assert size_of(PipelineOptions(config_file=file))[0] == (252, 252)
