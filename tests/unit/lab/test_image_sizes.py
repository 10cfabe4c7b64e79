"""A size that patches do not cover is refused before a fit, and what was fitted before still works."""

from pathlib import Path

import numpy as np
import pytest
from tests.support import BASE, IDENTITY, category, part_picture, placed

import kizu.pipeline.fitting as module
from kizu.core.errors import ConfigError
from kizu.core.types import U8
from kizu.data.listing import list_images
from kizu.imaging.codec import encode_png
from kizu.inspection.inspector import Inspector
from kizu.lab.fit import Sides, fit_bundle
from kizu.lab.recommend import recommend
from kizu.lab.train import RunConfig, train_run
from kizu.lab.update import update_run
from kizu.lab.zero_shot import ZeroShotConfig, rank_images
from kizu.release.export import export_run

UNEVEN = {"placement": {"image_size": (64, 60)}}
REFUSED = r"64 x 60 pixels .* blocks\.\d has a stride of (8|16)"
FITTING = "64 x 48 or 64 x 64"


def test_a_fit_refuses_a_size_that_patches_do_not_cover(good_pictures: U8) -> None:
    sides = Sides(placed(good_pictures[:8, :, :60]), placed(good_pictures[8:16, :, :60]))
    with pytest.raises(ConfigError, match=REFUSED) as caught:
        fit_bundle(BASE.changed(UNEVEN, where="test"), sides, IDENTITY)
    assert FITTING in (caught.value.hint or "")


def test_layers_that_are_not_looked_at_need_not_cover_it(good_pictures: U8) -> None:
    finest = BASE.changed(UNEVEN, where="test").changed({"embedding": {"layers": ["blocks.0"]}}, where="test")
    sides = Sides(placed(good_pictures[:8, :, :60]), placed(good_pictures[8:16, :, :60]))
    assert fit_bundle(finest, sides, IDENTITY).bundle.manifest.embedding["layers"] == ["blocks.0"]


def test_a_ranking_without_good_images_refuses_it_too(tmp_path: Path) -> None:
    for number in range(4):
        encode_png(tmp_path / f"{number}.png", part_picture(number))
    config = ZeroShotConfig.parse({"embedding": {"backbone": "tiny"}, **UNEVEN}, where="test")
    with pytest.raises(ConfigError, match=REFUSED):
        rank_images(list_images(tmp_path), config)


def test_a_recommendation_refuses_it_too(tmp_path: Path) -> None:
    candidates = {"uneven": {"detector": {"kind": "patchcore"}, **UNEVEN}}
    with pytest.raises(ConfigError, match=REFUSED):
        recommend(category(tmp_path, "plate", 0), base=BASE, candidates=candidates)


def test_a_run_fitted_at_such_a_size_before_is_still_opened_updated_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    category(tmp_path, "plate", 0)
    values = {**BASE.model_dump(mode="json"), **UNEVEN, "data": {"root": str(tmp_path), "category": "plate"}}
    with monkeypatch.context() as before:
        before.setattr(module, "ensure_covered", lambda *_: None)
        folder = train_run(RunConfig.parse(values, where="test"), tmp_path / "runs").folder
    found = Inspector.open(folder.path).inspect(part_picture(90))
    exported = export_run(folder).path
    assert Inspector.open(exported).inspect(part_picture(90)).score == pytest.approx(found.score, rel=1e-4)
    encode_png(tmp_path / "more/1.png", part_picture(91))
    assert update_run(folder, tmp_path / "more", reason="a new lot").added == ("1.png",)
    assert np.isfinite(Inspector.open(folder.path).inspect(part_picture(90)).score)
