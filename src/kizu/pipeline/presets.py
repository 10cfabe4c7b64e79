"""Methods as they were published, as settings of what is here: data, and no code of their own.

What of a publication is not here, or is here another way, is told with the preset; so is what the user changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from kizu.core.errors import ConfigError
from kizu.core.registry import look_up

Sections = Mapping[str, Mapping[str, Any]]

SIZED = frozenset({"image_size", "resize", "pixels"})
"""Keys of a placement that say how large the input is: one that is given takes the place of all."""

_SQUASHED = "pictures that are not square are squashed, where the shorter side was resized to 256"
_HELD = "the good pictures that set the thresholds are not learned (a tenth, or what a promise asks for)"
_CLASS_MEAN = "the mean of the patch tokens stands for the class token, which is no map"


@dataclass(frozen=True, slots=True)
class Preset:
    """One published method."""

    source: str
    detector: Mapping[str, Any]
    embedding: Mapping[str, Any]
    placement: Mapping[str, Any]
    deviations: tuple[str, ...]
    """Where these settings are not what was published, in words."""

    @property
    def sections(self) -> Sections:
        """As `PipelineConfig` has them."""
        return {"detector": self.detector, "embedding": self.embedding, "placement": self.placement}


PRESETS: Mapping[str, Preset] = {
    "patchcore_paper": Preset(
        "Roth et al., Towards Total Recall in Industrial Anomaly Detection, CVPR 2022 (PatchCore-10%)",
        {
            "kind": "patchcore",
            "coreset": 0.1,
            "projection": 128,
            "image_score": "reweighted_max",
            "smoothing": 4 / 224,
        },
        {"backbone": "wide_resnet50_2", "layers": ("layer2", "layer3")},
        {"resize": (256, 256), "image_size": (224, 224)},
        (_SQUASHED, _HELD, "features keep their 1,536 dimensions, where they were pooled to 1,024"),
    ),
    "padim_paper": Preset(
        "Defard et al., PaDiM, ICPR 2020 workshops (ResNet-18, 100 random features)",
        {
            "kind": "padim",
            "features": 100,
            "epsilon": 0.01,
            "image_score": "max_map",
            "smoothing": 4 / 224,
        },
        {"backbone": "resnet18", "layers": ("layer1", "layer2", "layer3")},
        {"resize": (256, 256), "image_size": (224, 224)},
        (_SQUASHED, "coarser layers are enlarged bilinearly, where the nearest patch was repeated"),
    ),
    "anomalydino": Preset(
        "Damm et al., AnomalyDINO, WACV 2025 (ViT-S/14, agnostic preprocessing, 448 pixels)",
        {
            "kind": "patch_knn",
            "rotations": 8,
            "foreground": True,
            "image_score": "top_patches",
            "top_fraction": 0.01,
            "smoothing": 4 / 448,
        },
        {"backbone": "dinov2_vits14", "layers": ("blocks.11.norm",)},
        {"pixels": 448 * 448, "resample": "bicubic"},
        (
            "448 x 448 pixels in all, where the shorter side had 448: only elongated pictures keep their shape",
            "the mask is cut by Otsu's rule along the first component of all good patches, and good patches outside are"
            " not learned; published: in each picture at a fixed value, where that was seen to work, of tested ones",
            "maps are smoothed at the input's size, not at the picture's",
            _HELD,
        ),
    ),
    "subspacead": Preset(
        "Lendering et al., SubspaceAD, CVPR 2026 (arXiv 2602.23013)",
        {
            "kind": "subspace",
            "variance": 0.99,
            "rotations": 30,
            "image_score": "top_patches",
            "top_fraction": 0.01,
            "smoothing": 4 / 672,
        },
        {
            "backbone": "dinov2_vitl14_reg",
            "layers": tuple(f"blocks.{number}" for number in range(6, 13)),
            "combine": "mean",
        },
        {"image_size": (672, 672), "resample": "bicubic"},
        (
            "ViT-L/14 with registers, the middle seven blocks: its results are of ViT-g/14, which is not drawn here",
            "30 rotations in equal steps with mirrored corners, where 30 random ones with black corners were added",
            "distances are roots, and the image score is of patches, where it was of squared distances in pixels",
            _HELD,
        ),
    ),
    "dinov2_knn": Preset(
        "no publication: patch k-NN on DINOv2 ViT-B/14 with a tenth of the patches drawn at random, as detection"
        " services run it",
        {"kind": "patch_knn", "coreset": 0.1, "coreset_method": "random"},
        {"backbone": "dinov2_vitb14", "layers": ("blocks.11.norm",)},
        {"image_size": (518, 518), "resample": "bicubic"},
        (
            "nobody states the size of the input and the block: DINOv2's own size and its last block are taken",
        ),
    ),
    "mahalanobis_dinov2": Preset(
        "Rippel et al., Modeling the Distribution of Normal Data, ICPR 2020, on DINOv2 ViT-B/14's last block",
        {"kind": "mahalanobis"},
        {"backbone": "dinov2_vitb14", "layers": ("blocks.11.norm",)},
        {"image_size": (224, 224), "resample": "bicubic"},
        (
            _CLASS_MEAN,
            "code that goes by the name of AnomalyVFM scores so; the publication of that name (CVPR 2026) tunes the"
            " network and decodes masks",
        ),
    ),
}
"""From a preset's name to its settings."""


def find_preset(name: str) -> Preset:
    """Raises `ConfigError` naming the nearest one."""
    return look_up(PRESETS, name, noun="preset")


def under(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that `values` say, and the preset's where they say nothing.

    A size that is given takes the place of the preset's, another backbone of its layers too. Raises `ConfigError` for
    another method than the preset's.
    """
    preset = find_preset(name)
    merged = dict(values)
    for section, own in preset.sections.items():
        given = values.get(section) or {}
        if isinstance(given, Mapping):
            merged[section] = {**_kept(section, own, given), **given}
    _ensure_method(name, preset, merged["detector"])
    return merged


def _kept(section: str, own: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    gone: frozenset[str] = frozenset()
    if section == "placement" and any(given.get(key) is not None for key in SIZED):
        gone = SIZED
    if section == "embedding" and given.get("backbone", own["backbone"]) != own["backbone"]:
        gone = frozenset({"layers"})
    return {key: value for key, value in own.items() if key not in gone}


def _ensure_method(name: str, preset: Preset, detector: Any) -> None:
    kind = detector["kind"] if isinstance(detector, Mapping) else detector.kind
    if kind != preset.detector["kind"]:
        raise ConfigError(
            f"the preset {name} is of the method {preset.detector['kind']}, not of {kind}",
            hint="leave the preset or the method out",
        )


def changes(found: Sections, wanted: Sections) -> Iterator[str]:
    """In words, what `found` has otherwise than `wanted`, the preset by itself; both as a config's JSON.

    The size that a fit chose at the wanted number of pixels is no change, nor is the scale of deep pictures.
    """
    for section in ("detector", "embedding", "placement"):
        own, other = dict(found[section]), dict(wanted[section])
        if section == "placement" and _has_about(own, other.get("pixels")):
            own = {key: value for key, value in own.items() if key != "image_size"} | {
                "pixels": other["pixels"]
            }
        for key in (*own, *(key for key in other if key not in own)):
            if key != "scale" and own.get(key) != other.get(key):
                yield f"{section}.{key}: {_told(own.get(key))} in place of {_told(other.get(key))}"


def _has_about(placement: Mapping[str, Any], pixels: int | None) -> bool:
    """Whether a size was chosen at so many pixels, in whole patches."""
    sides = placement.get("image_size")
    if pixels is None or sides is None or placement.get("resize") is not None:
        return False
    return bool(0.9 < sides[0] * sides[1] / pixels <= 1)


def _told(value: Any) -> str:
    if value is None:
        return "the default"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
