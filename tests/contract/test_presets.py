"""What every preset in the table must do: fit, find a flaw, and say truly what it is."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.support import ask, part_picture, resnet_weights, with_flaw

import kizu
from kizu.backbones import resnet
from kizu.backbones.added import FOLDER_VARIABLE, keep
from kizu.backbones.architectures import architectures
from kizu.backbones.base import IMAGENET_MEAN, IMAGENET_STD, BackboneSpec, default_layers
from kizu.backbones.resnet import Variant
from kizu.backbones.vit import draw_sizes, layers_of
from kizu.backbones.vit_weights import Sizes
from kizu.bundles.manifest import PresetRecord
from kizu.core.errors import ConfigError
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.imaging.codec import encode_png
from kizu.lab.fit import FittedBundle, Identity, Sides, fit_bundle
from kizu.lab.train import RunConfig
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import PlacedImages
from kizu.pipeline.presets import PRESETS
from kizu.tasks.lab_options import PipelineOptions, RunOptions
from kizu.tasks.options import DataOptions
from kizu.tasks.train import run_config, train

SIDE = 112
"""In place of the published size, that the tests take seconds: whole patches of 14 and 16 pixels."""
GOOD = 12


@pytest.fixture(scope="module", autouse=True)
def _small_networks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Narrow networks of random weights under the names, and with the layers, of the presets' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(FOLDER_VARIABLE, str(tmp_path_factory.mktemp("backbones")))
        small = Variant((1, 1, 1, 1), bottleneck=False, stem=8)
        patch.setitem(resnet.VARIANTS, "small", small)  # type: ignore[attr-defined]
        drawn_resnet = resnet.draw("small", resnet_weights(small)), resnet.layers("small")
        for name in {preset.embedding["backbone"] for preset in PRESETS.values()}:
            if name.startswith("dinov2"):
                depth = len(architectures()[name].layers(name)) // 2
                sizes = Sizes(
                    patch_px=14,
                    dim=24,
                    depth=depth,
                    heads=3,
                    grid_side=8,
                    positions="dinov2",
                    layer_scale=True,
                )
                rng = np.random.default_rng(0)
                weights = {
                    key: (0.3 * rng.standard_normal(shape)).astype(np.float32)
                    for key, shape in sizes.shapes().items()
                }
                model, layers = draw_sizes(sizes, weights), layers_of(sizes)
            else:
                model, layers = drawn_resnet
            spec = BackboneSpec(
                name, layers, default_layers(layers), IMAGENET_MEAN, IMAGENET_STD, "MIT", "a test", "0" * 64
            )
            keep(model, spec, "onnx")
        yield


def pictures(count: int, seed: int = 0) -> U8:
    return np.stack([part_picture(seed + number, SIDE) for number in range(count)])


def small_config(name: str) -> PipelineConfig:
    values = {"preset": name, "placement": {"image_size": SIDE}, "calibration": {"fraction": 0.3}}
    return PipelineConfig.parse(values, where="test")


@pytest.fixture(scope="module", params=sorted(PRESETS))
def fitted(request: pytest.FixtureRequest) -> FittedBundle:
    good = pictures(GOOD)
    sides = Sides(PlacedImages(8, [good[:8]]), PlacedImages(4, [good[8:]]))
    return fit_bundle(small_config(request.param), sides, Identity("plate", "r1", "drawn", "0"))


def record(fitted: FittedBundle) -> PresetRecord:
    found = fitted.bundle.manifest.preset
    assert found is not None
    return found


def test_it_fits_and_finds_a_painted_flaw_where_it_is(fitted: FittedBundle) -> None:
    good = pictures(4, seed=100)
    flawed = np.stack([with_flaw(image, 44, 44, 24) for image in good])
    before, after = fitted.pipeline.score(good), fitted.pipeline.score(flawed)
    assert (after.image > before.image).all()
    for score_map in after.maps:
        y, x = np.unravel_index(score_map.argmax(), score_map.shape)
        assert 44 - 28 <= y <= 68 + 28
        assert 44 - 28 <= x <= 68 + 28


def test_the_bundle_says_which_it_is_where_it_is_not_the_paper_and_what_was_changed(
    fitted: FittedBundle,
) -> None:
    found = record(fitted)
    preset = PRESETS[found.name]
    assert (found.source, found.deviations) == (preset.source, preset.deviations)
    sized = [said for said in found.changed if said.startswith("placement.")]
    assert sized
    assert found.changed == tuple(sized)  # nothing else was changed, and nothing else is said to be


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_by_itself_nothing_is_changed_and_its_file_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    config = PipelineConfig.parse({"preset": name}, where="test")
    told = config.told_preset()
    assert told is not None
    assert told.changed == ()
    (tmp_path / "config.yaml").write_text(config.to_yaml())
    assert PipelineConfig.read(tmp_path / "config.yaml") == config


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_setting_of_a_user_wins_and_is_told(name: str) -> None:
    preset = PRESETS[name]
    own = preset.detector["kind"]
    values = {
        "preset": name,
        "detector": {"kind": own, "smoothing": 0.1},
        "embedding": {"backbone": "tiny", "normalisation": "half"},
        "placement": {"image_size": 64},
    }
    config = PipelineConfig.parse(values, where="test")
    assert config.detector.smoothing == 0.1
    assert config.embedding.layers is None  # the preset's are of another network
    assert (config.placement.resize, config.placement.pixels) == (None, None)
    told = config.told_preset()
    assert told is not None
    said = "\n".join(told.changed)
    for key in ("detector.smoothing: 0.1", "embedding.backbone: tiny", "embedding.normalisation: half"):
        assert key in said
    assert "embedding.layers" in said
    assert "placement." in said


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_another_method_is_no_preset(name: str) -> None:
    other = "padim" if PRESETS[name].detector["kind"] != "padim" else "subspace"
    with pytest.raises(ConfigError, match=f"the preset {name} is of the method"):
        PipelineConfig.parse({"preset": name, "detector": {"kind": other}}, where="test")
    with pytest.raises(ConfigError, match=f"the preset {name} is of the method"):
        run_config(PipelineOptions(preset=name, method=other), DataOptions())
    config = PipelineConfig.parse({"preset": name}, where="test").with_detector(other, {})
    assert config.preset is None


def test_an_unknown_one_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'anomalydino'"):
        PipelineConfig.parse({"preset": "anomalydin"}, where="test")


def test_flags_win_over_the_file_and_the_file_over_the_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("detector: {kind: patch_knn, rotations: 4, foreground: false}\nseed: 7\n")
    options = PipelineOptions(path, preset="anomalydino", backbone="tiny", image_size="64", coreset=0.5)
    config = run_config(options, DataOptions())
    assert config.preset == "anomalydino"
    assert config.seed == 7
    detector = config.detector.model_dump()
    assert (detector["rotations"], detector["foreground"], detector["coreset"]) == (4, False, 0.5)
    assert detector["smoothing"] == PRESETS["anomalydino"].detector["smoothing"]
    assert (config.embedding.backbone, config.embedding.layers) == ("tiny", None)
    assert config.placement.resample == "bicubic"
    kept = run_config(PipelineOptions(preset="anomalydino", layers="blocks.3"), DataOptions())
    assert kept.embedding.layers == ("blocks.3",)


def test_a_size_that_a_fit_chose_at_the_wanted_pixels_is_no_change_and_another_is() -> None:
    config = PipelineConfig.parse({"preset": "anomalydino"}, where="test")

    def changed(height: int, width: int) -> tuple[str, ...]:
        update = {"pixels": None, "image_size": (height, width)}
        sized = config.model_copy(update={"placement": config.placement.model_copy(update=update)})
        told = sized.told_preset()
        assert told is not None
        return told.changed

    assert changed(448, 448) == ()
    assert changed(308, 644) == ()
    assert any("224, 224" in said for said in changed(224, 224))


def test_the_run_its_card_and_the_notes_of_a_training_tell_it(tmp_path: Path) -> None:
    for number, image in enumerate(pictures(GOOD)):
        encode_png(tmp_path / "plate/train/good" / f"{number}.png", image)
    notes: list[str] = []
    run = train(
        PipelineOptions(preset="mahalanobis_dinov2", image_size=str(SIDE), seed=3),
        DataOptions(root=tmp_path, category="plate"),
        RunOptions(tmp_path / "runs", "r1"),
        Work(cores=1, on_note=notes.append),
    )
    found = run.bundle.manifest.preset
    assert found is not None
    assert found.name == "mahalanobis_dinov2"
    card = (run.folder.path / "model_card.md").read_text()
    for said in found.told():
        assert said in notes
        assert f"- {said}" in card
    assert any(said.startswith("changed from the preset: placement.image_size: 112, 112") for said in notes)
    again = RunConfig.read(run.folder.config)
    assert again.preset == "mahalanobis_dinov2"
    assert again.told_preset() == found


def test_the_list_has_every_preset_with_its_settings_and_deviations() -> None:
    listed = json.loads(ask("presets", "--json").stdout)
    assert [row["name"] for row in listed] == list(PRESETS)
    text = ask("presets").stdout
    for row in listed:
        preset = PRESETS[row["name"]]
        assert row["detector"] == json.loads(json.dumps(preset.detector))
        assert row["missing"] is None  # the small networks have the names
        assert f"{row['name']}: {preset.source}" in text
        assert all(f"not as published: {said}" in text for said in preset.deviations)


def test_a_backbone_that_is_not_here_is_told_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    assert "kizu backbones fetch wide_resnet50_2" in ask("presets").stdout
    assert all("fetch" in row["missing"] for row in json.loads(ask("presets", "--json").stdout))


def test_a_program_that_fits_by_a_preset_is_told_too() -> None:
    notes: list[str] = []
    config = PipelineConfig.parse(
        {"preset": "mahalanobis_dinov2", "placement": {"image_size": SIDE}}, where="test"
    )
    kizu.fit(list(pictures(GOOD)), config, work=Work(cores=1, on_note=notes.append))
    told = config.told_preset()
    assert told is not None
    assert set(told.told()) <= set(notes)
