"""What a shelf says is what an inspector of the same model says, for every method and way to look."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import ALL, IDENTITY, part_picture, placed, with_flaw

from kizu.bundles.manifest import Bundle
from kizu.bundles.store import save
from kizu.core.types import U8
from kizu.decision.policy import PolicyConfig
from kizu.imaging.roi import Area, Roi
from kizu.inspection.inspector import Inspection, Inspector
from kizu.inspection.shelf import Looking, Shelf
from kizu.lab.fit import Sides, fit_bundle
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.export import build_model


def pictures() -> list[U8]:
    return [part_picture(40), with_flaw(part_picture(41), 20, 30), np.full((64, 64, 3), 128, np.uint8)]


def fitted(detector: dict[str, Any], **sections: Any) -> Bundle:
    config = PipelineConfig.parse(
        {
            "detector": detector,
            "embedding": {"backbone": "tiny"},
            "placement": {"image_size": 64},
            **sections,
        },
        where="test",
    )
    h, w = config.placement.seen_hw
    images = np.stack([np.tile(part_picture(seed), (h // 64, w // 64, 1)) for seed in range(12)])
    return fit_bundle(config, Sides(placed(images[:8]), placed(images[8:])), IDENTITY).bundle


def assert_same(found: Inspection | None, wanted: Inspection) -> None:
    assert found is not None
    assert (found.label, found.score, found.threshold, found.by, found.reason, found.regions, found.spot) == (
        wanted.label, wanted.score, wanted.threshold, wanted.by, wanted.reason, wanted.regions, wanted.spot,
    )  # fmt: skip
    np.testing.assert_array_equal(found.map, wanted.map)
    np.testing.assert_array_equal(found.mask, wanted.mask)


@pytest.mark.parametrize("name", ALL)
def test_every_method_says_the_same_on_a_shelf(name: str, tmp_path: Path) -> None:
    save(fitted(ALL[name]), tmp_path / "plate")
    alone = Inspector.open(tmp_path / "plate")
    with Shelf.open([tmp_path]) as shelf:
        for picture in pictures():
            found = shelf.inspect(picture, name="plate")
            assert_same(found.inspection, alone.inspect(picture))
            assert found.retrieved is None
            assert found.model == shelf.find("plate")


@pytest.mark.parametrize(
    "sections",
    [
        {"placement": {"image_size": 64, "resize": 128, "tile_overlap": 0.25}},
        {"calibration": {"zones": [2, 2]}},
        {"placement": {"image_size": 64, "resize": 128}},
    ],
    ids=["tiles", "zones", "crop"],
)
def test_tiles_zones_and_crops_are_the_same(sections: dict[str, Any], tmp_path: Path) -> None:
    save(fitted({"kind": "padim"}, **sections), tmp_path / "plate")
    alone = Inspector.open(tmp_path / "plate")
    with Shelf.open([tmp_path]) as shelf:
        for picture in pictures():
            assert_same(shelf.inspect(picture, name="plate").inspection, alone.inspect(picture))


def test_regions_of_interest_and_what_an_operator_turns_are_the_same(tmp_path: Path) -> None:
    save(fitted({"kind": "padim"}), tmp_path / "plate")
    roi = Roi(Area((np.array([[0.0, 0], [50, 0], [50, 50], [0, 50]]),)))
    policy = PolicyConfig(min_defect_area=3, pixel_threshold_mult=1.2)
    alone = Inspector.open(tmp_path / "plate", policy=policy, roi=roi)
    with Shelf.open([tmp_path], looking={"plate": Looking(policy, roi)}) as shelf:
        found = [shelf.inspect(picture, name="plate").inspection for picture in pictures()]
    for one, picture in zip(found, pictures(), strict=True):
        assert_same(one, alone.inspect(picture))
        assert one is not None
        assert one.by == "regions"


def test_an_exported_file_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(build_model(fitted({"kind": "padim"}), "a" * 64).SerializeToString())
    alone = Inspector.open(path)
    with Shelf.open([path]) as shelf:
        model = shelf.find("plate")
        assert (model.kind, model.sha256, model.can_be_retrieved) == ("exported", "a" * 64, False)
        for picture in pictures():
            assert_same(shelf.inspect(picture, name="plate").inspection, alone.inspect(picture))
