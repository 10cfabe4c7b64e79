"""Labelled images are scored in order, their maps and masks kept small, and what is wrong is named."""

from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import ImageError, ScoreError
from kizu.core.split import Split
from kizu.core.types import U8, Scores
from kizu.core.work import Work
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig, map_back
from kizu.lab.predictions import PackedMask, predict_samples

PLACEMENT = PlacementConfig(image_size=(16, 16))


class Brightness:
    """An image's mean grey value; NaN for black ones."""

    def score(self, images: U8) -> Scores:
        mean = images.mean(axis=(1, 2, 3), dtype=np.float32)
        return Scores(np.where(mean == 0, np.nan, mean).astype(np.float32), images[..., 0].astype(np.float32))


@pytest.fixture
def samples(tmp_path: Path) -> list[Sample]:
    """21 images of rising brightness and size; every third is defective, every sixth with a drawn flaw."""
    made = []
    for number in range(21):
        path, hw = tmp_path / f"{number:02}.png", (20 + number, 33)
        encode_png(path, np.full((*hw, 3), 10 + number, dtype=np.uint8))
        mask_path = None
        if number % 6 == 0:
            mask_path = tmp_path / f"mask{number}.png"
            encode_png(mask_path, np.arange(hw[0] * hw[1]).reshape(hw) % 7 == 0)
        label = "defect" if number % 3 == 0 else "good"
        made.append(Sample(path.name, path, label, mask_path, label, Split.TEST))
    return made


@pytest.mark.parametrize("budget_mb", [None, "0"])
def test_scores_maps_and_masks_are_those_of_the_images_in_order(
    samples: list[Sample], monkeypatch: pytest.MonkeyPatch, budget_mb: str | None
) -> None:
    if budget_mb is not None:
        monkeypatch.setenv("KIZU_MEMORY_MB", budget_mb)  # maps go to a file
    with predict_samples(Brightness(), samples, PLACEMENT) as found:
        assert found.scores.dtype == np.float32
        assert found.scores.tolist() == list(range(10, 31))
        assert found.sizes == tuple((20 + number, 33) for number in range(21))
        assert found.defective.sum() == 7
        assert found.mapped.tolist() == [n for n in range(21) if n % 3 or n % 6 == 0]
        maps, masks = found.native_maps(), found.native_masks()
        assert len(maps) == len(masks) == 18
        for position, index in enumerate(found.mapped):
            expected = map_back(found.net_maps[index], found.sizes[index], PLACEMENT)
            assert np.array_equal(maps[position], expected)
            assert masks[position].shape == found.sizes[index]
            assert masks[position].any() == (index % 6 == 0)


def test_a_field_over_the_input_is_brought_back_as_the_maps_are(samples: list[Sample]) -> None:
    field = np.arange(256, dtype=np.float32).reshape(16, 16)
    with predict_samples(Brightness(), samples, PLACEMENT) as found:
        fields = found.fields(field)
        assert len(fields) == 18
        for position, index in enumerate(found.mapped):
            expected = map_back(field, found.sizes[index], PLACEMENT)
            np.testing.assert_array_equal(fields[position], expected)
            np.testing.assert_array_equal(found.bring_back(field, int(index)), expected)
        map_of = map_back(found.net_maps[4], found.sizes[4], PLACEMENT)
        np.testing.assert_array_equal(found.map_of(4), map_of)


def test_only_a_drawn_flaw_can_be_measured_on_pixels(samples: list[Sample]) -> None:
    """Not a defect that nobody drew, nor a good image, whose mask is known to be empty."""
    for some, known in ((samples[:1], True), (samples[1:4], False), (samples[3:4], False), (samples, True)):
        with predict_samples(Brightness(), some, PLACEMENT) as found:
            assert found.has_drawn_flaws is known
    with predict_samples(Brightness(), samples, PLACEMENT, with_masks=False) as found:
        assert not found.has_drawn_flaws
        assert not found.mapped.size


def test_how_far_it_is_is_told_under_the_name_of_the_stage(samples: list[Sample]) -> None:
    told: list[tuple[str, int, int]] = []
    work = Work(on_progress=lambda *step: told.append(step))
    with predict_samples(Brightness(), samples, PLACEMENT, work=work):
        pass
    assert told == [("test", done, 21) for done in (8, 16, 21)]
    with predict_samples(Brightness(), samples[:2], PLACEMENT, stage="train", work=work):
        pass
    assert told[-1] == ("train", 2, 2)


def test_what_a_scorer_refuses_is_told_with_the_images_it_was_given(samples: list[Sample]) -> None:
    class Refusing:
        def score(self, images: U8) -> Scores:
            raise ScoreError("too dark", hint="more light")

    with (
        pytest.raises(ScoreError, match=r"too dark; among .*00\.png to 07\.png") as refused,
        predict_samples(Refusing(), samples, PLACEMENT, work=Work(cores=1)),
    ):
        pass
    assert refused.value.hint == "more light"


def test_a_mask_unpacks_to_what_it_was() -> None:
    mask = np.random.default_rng(0).random((13, 7)) < 0.3
    assert np.array_equal(PackedMask(np.packbits(mask), mask.shape).unpack(), mask)
    nowhere = PackedMask(None, (3, 4)).unpack()
    assert not nowhere.any()
    assert nowhere.dtype == PackedMask(np.packbits(mask), mask.shape).unpack().dtype == np.bool_


def test_a_score_that_is_no_number_names_its_image(samples: list[Sample]) -> None:
    encode_png(samples[13].path, np.zeros((20, 20, 3), dtype=np.uint8))
    with (
        pytest.raises(ScoreError, match=r"13\.png is nan"),
        predict_samples(Brightness(), samples, PLACEMENT),
    ):
        pass


def test_a_broken_test_image_is_named(samples: list[Sample]) -> None:
    samples[4].path.write_bytes(b"")
    with pytest.raises(ImageError, match=r"04\.png"), predict_samples(Brightness(), samples, PLACEMENT):
        pass
