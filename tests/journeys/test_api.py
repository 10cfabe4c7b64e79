"""The three lines of a notebook."""

import json
import pickle
import re
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from PIL import Image
from tests.support import category, part_picture, with_flaw

import kizu
from kizu.backbones.session import GraphSession
from kizu.core.errors import ImageError
from kizu.imaging.codec import encode_png

CONFIG = {
    "embedding": {"backbone": "tiny"},
    "placement": {"image_size": 64},
    "detector": {"kind": "patchcore", "coreset": 0.2},
}


@pytest.fixture
def config() -> kizu.PipelineConfig:
    return kizu.PipelineConfig.parse(CONFIG, where="test")


def test_fit_on_arrays_inspect_look(config: kizu.PipelineConfig) -> None:
    inspector = kizu.fit([part_picture(seed, 80 + seed) for seed in range(20)], config)
    flawed = with_flaw(part_picture(50, 90), 40, 20)
    found = inspector.inspect(flawed)
    assert found.label == "NG"
    assert found.map.shape == (90, 90)
    y, x = np.unravel_index(int(found.map.argmax()), found.map.shape)
    assert 34 <= y < 58
    assert 14 <= x < 38
    assert found.overlay(flawed).shape[1:] == (90, 3)
    assert inspector.inspect(flawed[..., 0]).score == pytest.approx(found.score, rel=1e-5)


def test_files_and_arrays_give_the_same(config: kizu.PipelineConfig, tmp_path: Path) -> None:
    pictures = [part_picture(seed, 70) for seed in range(8)]
    for number, picture in enumerate(pictures):
        encode_png(tmp_path / f"{number}.png", picture)
    from_files = kizu.fit([str(tmp_path / f"{n}.png") for n in range(8)], config)
    probe = tmp_path / "3.png"
    assert from_files.inspect(probe).score == pytest.approx(from_files.inspect(pictures[3]).score)


def test_a_saved_inspector_says_the_same(config: kizu.PipelineConfig, tmp_path: Path) -> None:
    inspector = kizu.fit([part_picture(seed) for seed in range(8)], config, name="plate")
    kizu.save(inspector.bundle, tmp_path / "plate")
    again = kizu.Inspector.open(tmp_path / "plate")
    assert again.inspect(part_picture(99)).score == pytest.approx(
        inspector.inspect(part_picture(99)).score, rel=1e-5
    )
    assert again.manifest.category == "plate"


def test_copies_do_not_stand_on_both_sides(config: kizu.PipelineConfig) -> None:
    with pytest.raises(kizu.KizuError, match="1 different good image"):
        kizu.fit([part_picture(0)] * 10, config)


def test_equal_bytes_of_another_shape_are_another_picture(config: kizu.PipelineConfig) -> None:
    wide = np.random.default_rng(0).integers(0, 256, (32, 64), dtype=np.uint8)
    inspector = kizu.fit([wide, wide.reshape(64, 32)] * 2, config)
    assert inspector.manifest.fitted_on.fit_count == inspector.manifest.fitted_on.calibration_count == 4
    two = kizu.fit([wide, wide.reshape(32, 64).copy(), part_picture(0)], config).manifest.fitted_on
    assert (two.fit_count, two.calibration_count) == (3, 3)  # a copy is learned with what it copies


def test_a_file_that_is_not_there_is_named(config: kizu.PipelineConfig, tmp_path: Path) -> None:
    encode_png(tmp_path / "a.png", part_picture(0))
    for wrong in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(ImageError, match=re.escape(str(wrong))) as caught:
            kizu.fit([tmp_path / "a.png", wrong, str(tmp_path / "a.png")], config)
        assert caught.value.path == wrong


def test_one_unknown_setting_is_an_error() -> None:
    with pytest.raises(kizu.KizuError, match="did you mean 'embedding'"):
        kizu.PipelineConfig.parse({"embeding": {}}, where="test")


def test_folds_hold_every_image_out_once_and_promise_nothing(config: kizu.PipelineConfig) -> None:
    pictures = [part_picture(seed) for seed in range(9)]
    folded = config.changed({"calibration": {"folds": 3}}, where="test")
    inspector = kizu.fit([*pictures, pictures[0]], folded)
    thresholds, fitted_on = inspector.manifest.thresholds, inspector.manifest.fitted_on
    assert (fitted_on.fit_count, fitted_on.calibration_count) == (10, 10)
    assert thresholds.image.rule.folds == 3
    assert thresholds.image.false_alarm_rate is None
    assert inspector.inspect(with_flaw(part_picture(50), 20, 24)).label == "NG"


def test_a_fit_opens_the_network_once(config: kizu.PipelineConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    made = GraphSession.__init__

    def counted(self: GraphSession, *args: object, **options: object) -> None:
        opened.append(self)
        made(self, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(GraphSession, "__init__", counted)
    inspector = kizu.fit([part_picture(seed) for seed in range(6)], config)
    assert len([session for session in opened if "embedding" in session.outputs]) == 1  # type: ignore[attr-defined]
    arrived = pickle.loads(pickle.dumps(inspector))  # noqa: S301 - made a line above
    probe = part_picture(77)
    assert arrived.inspect(probe).score == pytest.approx(inspector.inspect(probe).score, rel=1e-5)


def test_what_is_to_be_called_off_is(config: kizu.PipelineConfig) -> None:
    stop = Event()
    told: list[str] = []

    def see(stage: str, done: int, total: int) -> None:
        told.append(stage)
        stop.set()

    with pytest.raises(kizu.KizuError, match="called off"):
        kizu.fit(
            [part_picture(seed) for seed in range(20)],
            config,
            work=kizu.Work(on_progress=see, cancelled=stop),
        )
    assert told == ["pictures"]


def test_of_a_folder_only_what_is_known_to_be_good_is_learned(tmp_path: Path) -> None:
    for seed in range(10):
        encode_png(tmp_path / "good" / f"{seed}.png", part_picture(seed))
        encode_png(tmp_path / "bad" / f"{seed}.png", with_flaw(part_picture(seed + 20), 10, 44))
    told: list[str] = []
    config = kizu.PipelineConfig.parse(CONFIG, where="test")
    inspector = kizu.fit(tmp_path, config, work=kizu.Work(on_note=told.append))
    assert inspector.manifest.fitted_on.fit_count <= 10
    assert inspector.inspect(tmp_path / "bad/3.png").label == "NG"
    assert any("layout: folder" in text for text in told)


def test_words_of_fit_change_the_config_and_wrong_ones_are_told(config: kizu.PipelineConfig) -> None:
    pictures = [part_picture(seed) for seed in range(12)]
    inspector = kizu.fit(pictures, config, method="padim", image_size=48, folds=3)
    assert inspector.manifest.model == "padim"
    assert inspector.manifest.placement.image_size == (48, 48)
    assert "folds" in inspector.threshold.describe()
    with pytest.raises(kizu.KizuError, match="padin") as caught:
        kizu.fit(pictures, config, method="padin")
    assert "did you mean 'padim'?" in str(caught.value)


def test_images_of_pillow_are_looked_at_as_files_are(config: kizu.PipelineConfig, tmp_path: Path) -> None:
    inspector = kizu.fit([Image.fromarray(part_picture(seed)) for seed in range(8)], config)
    encode_png(tmp_path / "a.png", with_flaw(part_picture(50), 10, 20))
    expected = inspector.inspect(tmp_path / "a.png").score
    opened = Image.open(tmp_path / "a.png")
    for image in (opened, opened.convert("RGBA"), opened.quantize(256).convert("RGB")):
        assert inspector.inspect(image).score == pytest.approx(expected, rel=0.1)
    assert inspector.inspect(opened).score == expected
    turned = opened.rotate(90, expand=True)
    turned.getexif()[0x0112] = 6  # lies on its side, and says so
    turned.info["exif"] = turned.getexif().tobytes()
    assert inspector.inspect(turned).score == pytest.approx(expected, rel=1e-5)
    deep = Image.fromarray(np.asarray(opened.convert("L")).astype(np.uint16) * 257)
    assert inspector.inspect(deep).score == pytest.approx(
        inspector.inspect(opened.convert("L")).score, rel=1e-5
    )


def test_many_come_in_their_order_and_a_broken_one_in_its_place(
    config: kizu.PipelineConfig, tmp_path: Path
) -> None:
    inspector = kizu.fit([part_picture(seed) for seed in range(8)], config)
    images = [part_picture(seed) for seed in range(40, 49)]
    expected = [inspector.inspect(image).score for image in images]
    assert [found.score for found in inspector.inspect_many(images, workers=3)] == pytest.approx(expected)  # type: ignore[union-attr]
    (tmp_path / "torn.png").write_bytes(b"nothing")
    mixed = [images[0], tmp_path / "torn.png", images[1]]
    with pytest.raises(ImageError):
        list(inspector.inspect_many(mixed))
    first, error, last = inspector.inspect_many(mixed, skip_broken=True)
    assert isinstance(error, ImageError)
    assert isinstance(first, kizu.Inspection)
    assert isinstance(last, kizu.Inspection)
    assert (first.score, last.score) == pytest.approx(expected[:2])
    endless = inspector.inspect_many(repeat(images[0]), workers=2)  # never all asked for
    assert next(endless).score == pytest.approx(expected[0])  # type: ignore[union-attr]


def test_an_inspection_tells_itself_and_draws_on_what_it_saw(
    config: kizu.PipelineConfig, tmp_path: Path
) -> None:
    inspector = kizu.fit([part_picture(seed) for seed in range(8)], config, name="plate")
    flawed = with_flaw(part_picture(50), 10, 20)
    found = inspector.inspect(flawed)
    assert repr(found).startswith(f"Inspection(NG, {found.reason}, ")
    assert repr(found).endswith("64 x 64)")
    assert np.array_equal(found.overlay(), found.overlay(flawed))
    assert "data:image/jpeg;base64," in found._repr_html_()
    assert json.loads(json.dumps(found.to_dict()))["regions"][0]["area"] == found.regions[0].area
    assert found.ratio == pytest.approx(found.score / found.threshold)
    found.save(tmp_path / "a.png", caption=False)
    assert np.array_equal(kizu.decode(tmp_path / "a.png"), found.overlay(caption=False))
    with pytest.raises(kizu.KizuError, match=r"neither \.png nor \.jpg"):
        found.save(tmp_path / "a.gif")
    alone = replace(found, source=None)
    assert "<img" not in alone._repr_html_()
    with pytest.raises(kizu.KizuError, match="does not know its image"):
        alone.overlay()
    assert repr(inspector).startswith("Inspector(plate, patchcore, version 1, ")


def test_an_inspector_is_measured_on_a_labelled_folder(config: kizu.PipelineConfig, tmp_path: Path) -> None:
    category(tmp_path, "plate", 0)
    inspector = kizu.fit([part_picture(seed) for seed in range(12)], config)
    measured = kizu.evaluate(inspector, tmp_path, category="plate")
    assert measured.confusion["tp"] == 4
    assert measured.promises["image"].measured.pictures == 4
    with pytest.raises(kizu.KizuError, match="no test picture"):
        kizu.evaluate(inspector, tmp_path / "plate" / "train" / "good")


def test_public_names_are_one_list_that_type_checkers_read() -> None:
    stub = (Path(kizu.__file__).parent / "__init__.pyi").read_text()
    assert sorted(re.findall(r"^from \S+ import (\w+) as", stub, re.MULTILINE)) == kizu.__all__
    assert set(kizu.__all__) <= set(dir(kizu))
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        _ = kizu.fitt
