"""The three lines of a notebook."""

import pickle
import re
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from tests.support import part_picture, with_flaw

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
