"""What several test modules share: drawn pictures and sets, small configs, fitted examples.

A test module imports from here and never from another test module.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage
from typer.testing import CliRunner, Result

from kizu.backbones.resnet import Variant as ResnetVariant
from kizu.bundles.manifest import BackboneRecord, Bundle, BundleManifest, FittedOn
from kizu.bundles.store import save
from kizu.cli.main import app
from kizu.core.split import Split
from kizu.core.types import F32, HW, U8, Bool
from kizu.core.work import Work
from kizu.data.layouts.files import EMPTY_MASK, IMAGE, MASK, Example
from kizu.data.layouts.mvtec_ad import scan
from kizu.data.manifest import Manifest
from kizu.decision.calibration import Thresholds
from kizu.decision.rules import Rule
from kizu.decision.thresholds import Threshold
from kizu.detectors import DETECTORS
from kizu.detectors.base import Detector, EmbeddingConfig, Embeddings
from kizu.imaging.codec import encode_jpeg, encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.lab.fit import FittedBundle, Identity, Sides, fit_bundle
from kizu.lab.train import RunConfig
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.pipeline.opened import Pipeline, PlacedImages
from kizu.scoring.rounded import I8, I32, Product
from kizu.study.config import StudyConfig

TINY = EmbeddingConfig(backbone="tiny")

BANK = {"coreset": 0.2}
"""Large enough that a handful of small pictures fills it."""
DEFAULTS: dict[str, dict[str, Any]] = {
    "patchcore": BANK,
    "discriminative": {"steps": 300, "hidden": [64], "rate": 0.004},
    "ensemble": {"members": [{"kind": "patchcore", **BANK}, {"kind": "padim"}, {"kind": "mahalanobis"}]},
}
"""What a method needs beside its defaults, to be tried on small pictures."""
VARIANTS: dict[str, dict[str, Any]] = {
    "patchcore reweighted": {"kind": "patchcore", "image_score": "reweighted_max", **BANK},
    "patchcore projected": {"kind": "patchcore", "projection": 6, **BANK},
    "patchcore random": {"kind": "patchcore", "coreset_method": "random", **BANK},
    "padim by variance": {"kind": "padim", "feature_choice": "variance", "features": 12},
    "padim diagonal": {"kind": "padim", "covariance": "diagonal"},
    "padim low rank": {"kind": "padim", "covariance": "low_rank", "rank": 5},
    "mahalanobis of patches": {"kind": "mahalanobis", "image_score": "top_patches", "pooling": "mean_std"},
    "padim updatable": {"kind": "padim", "keep_moments": True},
    "padim diagonal updatable": {"kind": "padim", "covariance": "diagonal", "keep_moments": True},
    "patchcore of a fixed size": {"kind": "patchcore", "coreset_size": 60},
    "patchcore of all": {"kind": "patchcore", "coreset": 1.0},
    "patch_knn l2": {"kind": "patch_knn", "metric": "l2", "neighbours": 3},
    "patchcore by angle": {"kind": "patchcore", "distance": "cosine", "patch_size": 1, **BANK},
    "patchcore whitened": {"kind": "patchcore", "whiten": "full", "top_count": 3, **BANK},
    "discriminative of noise": {"kind": "discriminative", "steps": 300, "hidden": [32, 16], "painted": 0},
    "ensemble of subspace and head": {
        "kind": "ensemble",
        "members": [
            {"kind": "subspace"},
            {"kind": "discriminative", "steps": 300, "hidden": [64], "rate": 0.004},
        ],
    },
    "patchcore mirrored": {"kind": "patchcore", "mirror": True, **BANK},
    "patchcore turned five ways": {"kind": "patchcore", "rotations": 5, **BANK},
    "patch_knn turned eight ways": {"kind": "patch_knn", "rotations": 8, "mirror": True},
    "subspace turned three ways": {"kind": "subspace", "rotations": 3},
    "patch_knn half whitened": {"kind": "patch_knn", "whiten": "half", "mirror": True, "turn_up_to": 2},
    "patch_knn turned, part only": {"kind": "patch_knn", "turn_up_to": 16, "foreground": True},
}
"""Settings that take another way through the code."""
ALL = {kind: {"kind": kind, **DEFAULTS.get(kind, {})} for kind in sorted(DETECTORS)} | VARIANTS

CONFIG = PipelineConfig.parse(
    {
        "embedding": {"backbone": "tiny"},
        "placement": {"image_size": 64},
        "detector": {"kind": "patchcore", "coreset": 0.2},
    },
    where="test",
)
BASE = CONFIG.changed({"calibration": {"fraction": 0.4}}, where="test")
"""With enough held-out images that a small set's threshold promises something."""
IDENTITY = Identity("plate", "r1", "drawn", "0")


def part_picture(seed: int, side: int = 64) -> U8:
    """A grey plate with a brighter disc and a little noise: (side, side, 3)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    plate = 90 + 20 * x + 60 * ((y - 0.5) ** 2 + (x - 0.5) ** 2 < 0.1)
    grey = np.clip(plate + rng.normal(0, 4, (side, side)), 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def with_flaw(image: U8, top: int, left: int, size: int = 12) -> U8:
    """A black and white checkered square painted on a copy."""
    flawed = image.copy()
    checks = (np.indices((size, size)).sum(axis=0) % 4 < 2)[..., None] * np.uint8(255)
    flawed[top : top + size, left : left + size] = checks
    return flawed


def grain(seed: int) -> U8:
    """Another product than a plate: (64, 64, 3)."""
    return np.repeat(texture(seed, (64, 64))[..., None], 3, axis=2)


def put_bundle(bundle: Bundle, folder: Path, **facts: object) -> Path:
    """A bundle with other facts in its manifest."""
    save(replace(bundle, manifest=bundle.manifest.model_copy(update=facts)), folder)
    return folder


def category(root: Path, name: str, seed: int, draw: Callable[[int], U8] = part_picture) -> Manifest:
    """12 good images to learn from, 4 good and 4 flawed ones to test, with masks."""
    for number in range(16):
        folder = root / name / ("train" if number < 12 else "test") / "good"
        encode_png(folder / f"{number}.png", draw(seed + number))
    for number in range(4):
        encode_png(
            root / name / "test" / "checks" / f"{number}.png",
            with_flaw(draw(seed + 30 + number), 20, 24 + number),
        )
        mask = np.zeros((64, 64), dtype=bool)
        mask[20:32, 24 + number : 36 + number] = True
        encode_png(root / name / "ground_truth" / "checks" / f"{number}_mask.png", mask)
    return scan(root, name)


def run_config(root: Path, names: str) -> RunConfig:
    """The settings of a run over categories of a set in `root`."""
    values = {**BASE.model_dump(mode="json"), "data": {"root": str(root), "category": names}}
    return RunConfig.parse(values, where="test")


def small_study(root: Path, **changed: object) -> StudyConfig:
    """Of two categories in `root`, plate and disc: two seeds, one severity, on the smallest network."""
    values = {
        "data": [{"name": name, "root": str(root), "category": name} for name in ("plate", "disc")],
        "methods": {
            "patchcore": {"kind": "patchcore", **BANK},
            "padim": {"kind": "padim", "keep_moments": True, "features": 12},
            "mahalanobis": {"kind": "mahalanobis"},
        },
        "seeds": [1, 2],
        "severities": [3],
        "update_counts": [3],
        "embedding": {"backbone": "tiny"},
        "image_size": 64,
        "features_mb": 0,
    }
    return StudyConfig.parse(values | changed, where="test")


def noise(seed: int, hw: HW = (32, 40)) -> U8:
    """(H, W, 3)"""
    return np.random.default_rng(seed).integers(0, 256, (*hw, 3), dtype=np.uint8)


def noise_mask(hw: HW = (32, 40)) -> Bool:
    """(H, W) with a rectangle in it."""
    mask = np.zeros(hw, bool)
    mask[4:9, 5:20] = True
    return mask


def laid_out(root: Path, example: Example) -> Path:
    """The root, with the files of a layout's example in it: different pictures, those called 100 larger."""
    for seed, (name, content) in enumerate(example.items()):
        path = root / name
        if content == MASK:
            save_picture(path, noise_mask().astype(np.uint8) * np.uint8(255))
        elif content == EMPTY_MASK:
            save_picture(path, np.zeros((32, 40), np.uint8))
        elif content != IMAGE:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        else:
            save_picture(path, noise(seed, (50, 60) if path.stem == "100" else (32, 40)))
    return root


def save_picture(path: Path, image: U8) -> None:
    """In the format that its suffix says."""
    if path.suffix.lower() in (".jpg", ".jpeg"):
        encode_jpeg(path, image, 95)
    elif path.suffix.lower() == ".bmp":
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
    else:
        encode_png(path, image)


def placed(images: U8) -> PlacedImages:
    return PlacedImages(len(images), (images[start : start + 4] for start in range(0, len(images), 4)))


def fitted(images: U8, config: PipelineConfig = CONFIG) -> FittedBundle:
    return fit_bundle(config, Sides(placed(images[:16]), placed(images[16:])), IDENTITY)


def example() -> Bundle:
    threshold = Threshold(
        value=1.5,
        rule=Rule(name="conformal", level=0.05),
        split=Split.CALIBRATION,
        count=19,
        false_alarm_rate=0.05,
    )
    manifest = BundleManifest(
        model="patchcore",
        category="bottle",
        run_id="r1",
        created_at="2026-01-01T00:00:00Z",
        detector={"kind": "patchcore"},
        embedding={"backbone": "tiny"},
        placement=PlacementConfig(image_size=(64, 96)),
        thresholds=Thresholds(image=threshold, pixel=threshold),
        seed=0,
        backbone=BackboneRecord(name="tiny", licence="MIT", source="here", weights_sha256="0"),
        fitted_on=FittedOn(dataset="mvtec_ad", manifest_sha256="0", fit_count=10, calibration_count=19),
        versions={},
    )
    arrays = {"bank": np.arange(12, dtype=np.float32).reshape(3, 4), "grid_hw": np.array([2, 2])}
    return Bundle(manifest, b"not really a graph", arrays)


def unfitted(detector: Detector, seed: int = 0, input_hw: HW = (64, 64)) -> UnfittedPipeline:
    """The smallest network before `detector`."""
    config = PipelineConfig(
        detector=detector.config, embedding=TINY, placement=PlacementConfig(image_size=input_hw), seed=seed
    )
    return UnfittedPipeline.prepare(config)


def fit(detector: Detector, images: U8, seed: int = 0, work: Work = Work()) -> Pipeline:
    batches = (images[start : start + 5] for start in range(0, len(images), 5))
    set_up = unfitted(detector, seed, (images.shape[1], images.shape[2]))
    return set_up.fit(PlacedImages(len(images), batches), "fit", work)


def embed(pipeline: Pipeline, images: U8, size: int = 5) -> Embeddings:
    """What the pipeline's network makes of images, in batches of `size`."""
    batches = (pipeline.embed(images[start : start + size]) for start in range(0, len(images), size))
    return Embeddings(batches, len(images), (images.shape[1], images.shape[2]))


@dataclass(frozen=True)
class PlainProduct:
    """What a runtime computes fast: exact on every processor, of matrices within +-`largest`."""

    largest: int

    def __call__(self, matrix: I8) -> Product:
        wide = matrix.astype(np.int32)
        assert np.abs(wide).max() <= self.largest

        def product(rows: U8) -> I32:
            found: I32 = (rows.astype(np.int32) - 128) @ wide
            return found

        return product


@dataclass(frozen=True)
class PairwiseProduct(PlainProduct):
    """As processors without a dot product compute it (vpmaddubsw): two neighbouring products of an unsigned and a
    signed integer are added in 16 bits, and what is more is cut off."""

    def __call__(self, matrix: I8) -> Product:
        wide = matrix.astype(np.int32)
        assert np.abs(wide).max() <= self.largest
        even = np.arange(0, len(wide), 2)

        def product(rows: U8) -> I32:
            pairs = [
                np.clip(rows[:, at : at + 2].astype(np.int32) @ wide[at : at + 2], -(2**15), 2**15 - 1)
                for at in even
            ]
            found: I32 = (np.sum(pairs, axis=0) - 128 * wide.sum(axis=0)).astype(np.int32)
            return found

        return product


plain_product = PlainProduct(127)


def texture(seed: int, hw: tuple[int, int] = (200, 260)) -> U8:
    """Grain of all sizes, as a machined surface has it."""
    rng = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(rng.normal(size=hw), size) * size for size in (0.8, 2, 6)]
    total = sum(layers)
    return np.asarray(np.clip(128 + 40 * total / np.std(total), 0, 255), np.uint8)


def exposure(part: int, shot: int, hw: tuple[int, int] = (160, 200)) -> U8:
    """One of several photographs of a part: another exposure, another cut, another noise."""
    rng = np.random.default_rng([part, shot])
    scene = texture(part, (hw[0] + 20, hw[1] + 20)).astype(float)
    top, left = rng.integers(0, 20, 2)
    picture = scene[top : top + hw[0], left : left + hw[1]] * rng.uniform(0.4, 1) + rng.normal(0, 3, hw)
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def resnet_weights(variant: ResnetVariant, seed: int = 0, classes: int = 5) -> dict[str, F32]:
    """A state dict as torchvision names it, at random; batch norms as training leaves them."""
    rng = np.random.default_rng(seed)
    made: dict[str, F32] = {}

    def conv(conv: str, norm: str, shape: tuple[int, int, int, int]) -> None:
        spread = np.sqrt(2 / np.prod(shape[1:]))
        made[f"{conv}.weight"] = (rng.standard_normal(shape) * spread).astype(np.float32)
        for part, low, high in (
            ("weight", 0.5, 1.5),
            ("bias", -0.3, 0.3),
            ("running_mean", -0.3, 0.3),
            ("running_var", 0.5, 1.5),
        ):
            made[f"{norm}.{part}"] = rng.uniform(low, high, shape[0]).astype(np.float32)
        made[f"{norm}.num_batches_tracked"] = np.array(7)

    conv("conv1", "bn1", (variant.stem, 3, 7, 7))
    before = variant.stem
    for stage, repeats in enumerate(variant.repeats):
        inner, after = variant.inner(stage), variant.dim(stage)
        for repeat in range(repeats):
            place = f"layer{stage + 1}.{repeat}"
            shapes = [(inner, before, 3, 3), (after, inner, 3, 3)]
            if variant.bottleneck:
                shapes = [(inner, before, 1, 1), (inner, inner, 3, 3), (after, inner, 1, 1)]
            for index, shape in enumerate(shapes, start=1):
                conv(f"{place}.conv{index}", f"{place}.bn{index}", shape)
            if repeat == 0 and (stage or before != after):
                conv(f"{place}.downsample.0", f"{place}.downsample.1", (after, before, 1, 1))
            before = after
    made["fc.weight"] = rng.standard_normal((classes, before)).astype(np.float32)
    made["fc.bias"] = rng.standard_normal(classes).astype(np.float32)
    return made


def ask(*arguments: object, ok: int = 0) -> Result:
    """Run the command line in this process, for what is said rather than done: a start costs more than the answer."""
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == ok, done.stderr + done.stdout
    return done


def read_lines(path: Path) -> list[dict[str, Any]]:
    """A file of JSON lines."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ad2_category(root: Path, name: str, seed: int, *, private: int = 2) -> None:
    """A category in MVTec AD 2's folders: 12 good images to learn from, 3 to validate, 4 good and 4 flawed public ones
    with masks, and `private` ones in each of the two other sets."""
    folder = root / name

    def picture(place: str, number: int, *, flawed: bool = False) -> None:
        image = part_picture(seed + number)
        encode_png(folder / f"{place}.png", with_flaw(image, 20, 24) if flawed else image)

    for number in range(12):
        picture(f"train/good/{number:03}_regular", number)
    for number in range(3):
        picture(f"validation/good/{number:03}_regular", 20 + number)
    mask = np.zeros((64, 64), bool)
    mask[20:32, 24:36] = True
    for number in range(4):
        picture(f"test_public/good/{number:03}_regular", 30 + number)
        picture(f"test_public/bad/{number:03}_overexposed", 40 + number, flawed=True)
        encode_png(
            folder / "test_public" / "ground_truth" / "bad" / f"{number:03}_overexposed_mask.png", mask
        )
    for number in range(private):
        picture(f"test_private/{number:03}_regular", 50 + number, flawed=number % 2 == 0)
        picture(f"test_private_mixed/{number:03}_mixed", 60 + number, flawed=number % 2 == 0)


def smooth_surface(root: Path, count: int = 30) -> Manifest:
    """Good pictures of 256 x 256 pixels with hardly any grain: what is seen of a flaw depends on the input's size."""
    for number in range(count + 1):
        place = "train" if number < count else "test"
        grey = 128 + (texture(number, (256, 256)).astype(int) - 128) // 12
        encode_png(root / "surface" / place / "good" / f"{number:02}.png", np.dstack([np.uint8(grey)] * 3))
    return scan(root, "surface")
