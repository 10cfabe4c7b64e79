"""Tuning: adapters get a gradient and the frozen rest none, the same seed gives the same, a kill changes nothing, and
the drawn graph is torch's."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="tuning needs the extra kizu[tune]")

from tests.support import ask, encode_png, part_picture, with_flaw  # noqa: E402

from kizu.backbones.base import BackboneSpec, Layer  # noqa: E402
from kizu.backbones.efficientnet_lite import Stage  # noqa: E402
from kizu.backbones.store import load_backbone, read_file  # noqa: E402
from kizu.backbones.vit_weights import Sizes  # noqa: E402
from kizu.core.errors import BackboneError, ConfigError, DataError, OutputError  # noqa: E402
from kizu.lab.cut import cut_good  # noqa: E402
from kizu.pipeline.config import PipelineConfig  # noqa: E402
from kizu.tuning.config import TuneConfig  # noqa: E402
from kizu.tuning.finish import WITHIN, draw_tuned, ensure_parity, write_tuned  # noqa: E402
from kizu.tuning.loop import Pictures, Tuning  # noqa: E402
from kizu.tuning.losses import confidence_loss, patch_loss, total_loss  # noqa: E402
from kizu.tuning.networks import Network, load_network  # noqa: E402

SMALL = {
    "rank": 3,
    "alpha": 6,
    "head": [16],
    "epochs": 3,
    "batch": 3,
    "side_px": 56,
    "rate": 2e-3,
    "dropout": 0.1,
}


def spec(name: str, layers: tuple[Layer, ...], chosen: tuple[str, ...]) -> BackboneSpec:
    return BackboneSpec(name, layers, chosen, (0.4, 0.5, 0.6), (0.2, 0.3, 0.25), "none", "drawn", "0" * 64)


def transformer() -> Network:
    sizes = Sizes(patch_px=14, dim=24, depth=3, heads=2, grid_side=5, positions="size", layer_scale=True)
    rng = np.random.default_rng(0)
    weights = {
        name: (0.2 * rng.standard_normal(shape)).astype(np.float32) for name, shape in sizes.shapes().items()
    }
    layers = tuple(Layer(f"blocks.{n}", 14, 24) for n in range(3))
    return Network(spec("small_vit", layers, ("blocks.1",)), weights, sizes, ())


def cnn() -> Network:
    stages = (Stage(1, 3, 1, 8), Stage(2, 3, 2, 12), Stage(1, 5, 2, 16))
    rng = np.random.default_rng(0)
    weights: dict[str, np.ndarray] = {}

    def norm(name: str, width: int) -> None:
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.3, 0.3),
            ("running_mean", -0.3, 0.3),
            ("running_var", 0.5, 1.5),
        ):
            weights[f"{name}.{part}"] = rng.uniform(low, high, width).astype(np.float32)

    def conv(name: str, *shape: int) -> None:
        weights[f"{name}.weight"] = (rng.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5).astype(
            np.float32
        )

    conv("_conv_stem", 8, 3, 3, 3)
    norm("_bn0", 8)
    before, block = 8, 0
    for stage in stages:
        for _ in range(stage.repeats):
            at, inside = f"_blocks.{block}", before * 4 if block else before
            if block:
                conv(f"{at}._expand_conv", inside, before, 1, 1)
                norm(f"{at}._bn0", inside)
            conv(f"{at}._depthwise_conv", inside, 1, stage.kernel, stage.kernel)
            norm(f"{at}._bn1", inside)
            conv(f"{at}._project_conv", stage.dim, inside, 1, 1)
            norm(f"{at}._bn2", stage.dim)
            before, block = stage.dim, block + 1
    conv("_conv_head", 20, 16, 1, 1)
    norm("_bn1", 20)
    weights |= {"_fc.weight": np.zeros((3, 20), np.float32), "_fc.bias": np.zeros(3, np.float32)}
    layers = (Layer("blocks.0", 2, 8), Layer("blocks.1", 4, 12), Layer("blocks.2", 8, 16))
    return Network(spec("small_cnn", layers, ("blocks.1", "blocks.2")), weights, None, stages)


CASES = [
    (transformer, "attention"),
    (transformer, "mlp"),
    (transformer, "after"),
    (cnn, "pointwise"),
    (cnn, "after"),
]


def pictures(first: int, count: int) -> Pictures:
    images = np.stack([part_picture(first + n, 56) for n in range(count)])
    return Pictures(tuple(f"{first + n}.png" for n in range(count)), images)


def tuning(folder: Path, make=transformer, placement: str = "attention", **more: object) -> Tuning:
    folder.mkdir(parents=True, exist_ok=True)
    config = TuneConfig.parse({**SMALL, "placement": placement, **more}, where="test")
    return Tuning(make(), config, pictures(0, 7), pictures(50, 3), folder)


def values(run: Tuning) -> dict[str, np.ndarray]:
    return {name: p.detach().numpy().copy() for name, p in run.parameters.items()}


@pytest.mark.parametrize(("make", "placement"), CASES)
def test_fresh_adapters_change_nothing_and_tuned_ones_are_the_drawn_graph(
    make, placement: str, tmp_path: Path
) -> None:
    run = tuning(tmp_path, make, placement)
    images = pictures(80, 2).images
    plain = read_layers(run, run.network.draw(run.network.weights), images)
    fresh, merged = draw_tuned(run)
    for name, expected in plain.items():
        assert read_layers(run, fresh, images)[name] == pytest.approx(
            expected, abs=1e-4 * float(np.abs(expected).max())
        )
    for name, weights in run.network.weights.items():
        assert np.array_equal(merged[name], weights)
    with torch.no_grad():
        for p in run.adapters.parameters.values():
            p += 0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1))
    tuned, merged = draw_tuned(run)
    assert ensure_parity(run, tuned, images) <= WITHIN
    assert ensure_parity(run, tuned, images, "openvino") <= WITHIN
    moved = read_layers(run, tuned, images)
    assert any(np.abs(moved[name] - plain[name]).max() > 1e-3 * np.abs(plain[name]).max() for name in plain)
    touched = {target.weight for target in run.adapters.targets}
    for name, weights in run.network.weights.items():
        assert np.array_equal(merged[name], weights) == (name not in touched)


def read_layers(run: Tuning, model, images: np.ndarray) -> dict[str, np.ndarray]:
    from kizu.backbones.base import PIXELS
    from kizu.backbones.session import GraphSession

    found = GraphSession(model).run({PIXELS: run.pixels(images).numpy()})
    return {name: found[name] for name in run.network.spec.default_layers}


@pytest.mark.parametrize(("make", "placement"), CASES)
def test_the_gradient_reaches_every_adapter_and_the_network_stays_to_the_bit(
    make, placement: str, tmp_path: Path
) -> None:
    run = tuning(tmp_path, make, placement, dropout=0)
    before = {name: weights.copy() for name, weights in run.network.weights.items()}
    with torch.no_grad():
        for name, p in run.parameters.items():
            if name.endswith(".B"):
                p.normal_(std=0.1)  # at 0 no gradient reaches A
    images, share = next(run._batches(run.train, 0, [0, 1, 2]))
    run._loss(images, share, training=True).backward()
    for name, p in run.parameters.items():
        assert p.grad is not None, name
        assert float(p.grad.abs().max()) > 0, name
    run.run()
    for name, weights in run.network.weights.items():
        assert np.array_equal(weights, before[name])


def test_query_and_value_have_adapters_and_key_has_none(tmp_path: Path) -> None:
    run = tuning(tmp_path)
    run.run()
    merged = run.adapters.merged(run.network.weights)
    moved = merged["blocks.0.attn.qkv.weight"] - run.network.weights["blocks.0.attn.qkv.weight"]
    assert np.abs(moved[:24]).max() > 0
    assert np.abs(moved[24:48]).max() == 0
    assert np.abs(moved[48:]).max() > 0
    assert np.array_equal(merged["blocks.2.attn.qkv.weight"], run.network.weights["blocks.2.attn.qkv.weight"])


def test_the_same_seed_gives_the_same_and_another_one_another(tmp_path: Path) -> None:
    one, two, other = (tuning(tmp_path / name, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2)))
    for run in (one, two, other):
        run.run()
    first, second, third = values(one), values(two), values(other)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not all(np.array_equal(first[name], third[name]) for name in first)


@pytest.mark.parametrize("epochs", [0, 1, 2])
def test_a_run_that_was_killed_goes_on_to_the_same_result(epochs: int, tmp_path: Path) -> None:
    whole = tuning(tmp_path / "whole", patience=9)
    whole.run()
    tuning(tmp_path / "cut", patience=9).run(stop_after=epochs)
    rest = tuning(tmp_path / "cut", patience=9)
    rest.run()
    assert rest.state.losses == whole.state.losses
    first, second = values(whole), values(rest)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_a_checkpoint_of_other_settings_is_refused(tmp_path: Path) -> None:
    tuning(tmp_path).run(stop_after=1)
    with pytest.raises(OutputError, match="other settings or images"):
        tuning(tmp_path, rate=1e-3).run()


def test_it_ends_early_with_the_best_where_validation_is_no_better(tmp_path: Path) -> None:
    run = tuning(tmp_path, rate=3.0, epochs=8, patience=2)  # far too fast
    state = run.run()
    assert state.epoch < 8
    assert state.best == min(state.losses)
    with torch.no_grad():
        order = list(range(3))
        images, share = next(run._batches(run.validation, 1_000_000, order))
        assert float(run._loss(images, share, training=False)) == pytest.approx(state.best, rel=1e-5)


def test_an_image_on_both_sides_is_refused(tmp_path: Path) -> None:
    config = TuneConfig.parse(SMALL, where="test")
    with pytest.raises(ConfigError, match="trains and validates"):
        Tuning(transformer(), config, pictures(0, 3), pictures(2, 3), tmp_path)


@pytest.mark.parametrize(
    ("make", "placement"), [(transformer, "pointwise"), (cnn, "attention"), (cnn, "mlp")]
)
def test_a_placement_without_a_place_is_refused(make, placement: str) -> None:
    with pytest.raises(ConfigError, match="has no place"):
        make().targets(placement)


def test_the_losses_are_as_they_are_written_down() -> None:
    z, s = (torch.randn(40, dtype=torch.float64, requires_grad=True) for _ in range(2))
    y = (torch.arange(40) % 3 == 0).double()
    loss = patch_loss(z, y, 2.0)
    chance = torch.sigmoid(z / 2)
    assert torch.allclose(loss, -torch.log(torch.where(y == 1, chance, 1 - chance)))
    confidence_loss(loss, s, 0.2).backward()
    c = 1 + torch.exp(s)
    assert torch.allclose(s.grad, ((c - 1) * (loss - 0.2 / c) / 40).detach())
    assert torch.allclose(z.grad, (c * (chance - y) / 2 / 40).detach())
    assert torch.autograd.gradcheck(lambda z, s: confidence_loss(patch_loss(z, y, 2.0), s, 0.2), (z, s))


def test_good_and_flawed_count_alike_and_patches_in_between_not_at_all() -> None:
    config = TuneConfig.parse({**SMALL, "confidence": 0}, where="test")
    z = torch.tensor([1.0, -2.0, 0.5, 3.0, -9.0])
    share = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.3])
    each = patch_loss(z[:4], (share[:4] >= 0.5).float(), 1.0)
    assert float(total_loss(z, torch.zeros(5), share, config)) == pytest.approx(
        float((each[:3].mean() + each[3]) / 2)
    )


def test_a_finished_folder_is_a_backbone_and_a_changed_one_is_refused(tmp_path: Path) -> None:
    run = tuning(tmp_path)
    run.run()
    made = write_tuned(run, tmp_path, ("a" * 64,), 1.0)
    backbone = load_backbone(str(tmp_path))
    assert backbone.spec.default_layers == ("blocks.1",)
    assert backbone.spec.mean == (0.4, 0.5, 0.6)
    assert "tuned on attention" in backbone.spec.name
    assert made.parity <= WITHIN
    (tmp_path / "backbone.onnx").write_bytes((tmp_path / "backbone.onnx").read_bytes() + b"\0")
    with pytest.raises(BackboneError, match="not the graph that was tuned"):
        load_backbone(str(tmp_path))
    (tmp_path / "tune.json").unlink()
    with pytest.raises(BackboneError, match="holds no tuned backbone"):
        load_backbone(str(tmp_path))


def test_the_real_networks_are_torchs_before_anything_is_tuned(tmp_path: Path) -> None:
    for name in ("efficientnet_lite0", "vit_s14_focus"):
        config = TuneConfig.parse({"backbone": name, "side_px": 84, "head": [8]}, where="test")
        images = np.stack([part_picture(n, 84) for n in range(3)])
        sides = Pictures(("a", "b"), images[:2]), Pictures(("c",), images[2:])
        run = Tuning(load_network(name), config, *sides, tmp_path)
        assert ensure_parity(run, draw_tuned(run)[0], images) <= WITHIN


def test_the_command_makes_a_backbone_that_trains_with_thresholds_of_images_it_does_not_know(
    tmp_path: Path,
) -> None:
    root = tmp_path / "data" / "plate"
    for number in range(16):
        encode_png(root / "train/good" / f"{number:02}.png", part_picture(number))
    encode_png(root / "test/good/0.png", part_picture(90))
    encode_png(root / "test/mark/0.png", with_flaw(part_picture(91), 20, 20))
    line = [
        "tune",
        "--data-root",
        root,
        "--epochs",
        1,
        "--side-px",
        64,
        "--output-dir",
        tmp_path / "tune",
        "--run-id",
        "one",
    ]
    told = ask(*line)
    folder = told.stdout.strip().splitlines()[-1]
    assert Path(folder, "painted.png").is_file()
    assert "minutes" in told.stderr
    assert ask(*line).stdout.strip().splitlines()[-1] == folder  # it was done
    assert "is not what this would make" in ask(*line, "--seed", 5, ok=2).stderr
    trained = ask(
        "train", "--data-root", root, "--method", "mahalanobis", "--backbone", folder, "--image-size", 64,
        "--output-dir", tmp_path / "runs", "--run-id", "t",
    )  # fmt: skip
    assert Path(trained.stdout.strip().splitlines()[-1], "bundle").is_dir()
    from kizu.backbones.tuned import images_known
    from kizu.data.layouts.mvtec_ad import scan

    manifest = scan(root).with_hashes()
    config = PipelineConfig.parse({"embedding": {"backbone": folder}}, where="test")
    cut = cut_good(manifest, config)
    known = images_known(folder)
    assert cut.calibration
    assert not known & {sample.sha256 for sample in cut.calibration}
    assert known <= {sample.sha256 for sample in cut.fit}
    other = replace(
        manifest, samples=tuple(replace(s, sha256="f" + (s.sha256 or "")[1:]) for s in manifest.samples)
    )
    with pytest.raises(DataError, match="none of these good images"):
        cut_good(other, config)


def test_what_read_file_reads_is_the_same_file(tmp_path: Path) -> None:
    run = tuning(tmp_path, cnn, "pointwise")
    write_tuned(run, tmp_path, (), 0.0)
    assert [layer.name for layer in read_file(tmp_path / "backbone.onnx").spec.layers] == [
        "blocks.1",
        "blocks.2",
    ]
