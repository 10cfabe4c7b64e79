"""Good pictures in, an inspector out: what a notebook calls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from kizu.backbones.tuned import images_known
from kizu.core.errors import ConfigError, DataError
from kizu.core.hashing import hash_bytes, hash_value
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.data.manifest import Sample, hash_image
from kizu.data.splits import blocks_of, hold_out, k_folds
from kizu.imaging.arrays import PillowImage, pillow_to_array
from kizu.imaging.placement import PlacementConfig
from kizu.inspection.inspector import Inspector
from kizu.inspection.rethreshold import KeptScores
from kizu.lab.fit import Identity, Sides, fit_bundle
from kizu.lab.grouping import group_pictures
from kizu.lab.scheme import held_fraction, leaves_out, mark_anchors, place_grouped
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.opened import PlacedImages
from kizu.pipeline.placing import choose_placement
from kizu.runs.scores import CalibrationScores
from kizu.tasks.data import data_config, scan_told, with_layout
from kizu.tasks.options import DataOptions

Picture = Path | str | NDArray[Any] | PillowImage
"""A file, an array (H, W), (H, W, 3) or (H, W, 4) in RGB order, or an image of Pillow's."""


def fit(
    images: Path | str | Sequence[Picture],
    config: PipelineConfig = PipelineConfig(),
    *,
    method: str | None = None,
    image_size: int | tuple[int, int] | None = None,
    folds: int | None = None,
    name: str = "part",
    group: Literal["auto", "none"] = "auto",
    work: Work = Work(),
) -> Inspector:
    """Learn from good images and return what inspects new ones.

    `images`: pictures, mixed sizes allowed; or a folder, of which the good ones to learn from are taken as `kizu train`
    does, and what it passes over is told to `work.on_note`. `method`, `image_size` and `folds` change the config. Where
    not all are fitted on, a part of them, drawn by `config.seed`, is held out to set the thresholds; with folds each is
    held out of one fit, and the last fit is on all. Copies of one image stay on one side; so do, unless `group` is
    "none", those that prove to show one part, which `work.on_note` is told.
    Raises `DataError` for fewer than two different images, `ImageError` for one that cannot be read, `CalibrationError`
    for a rule that wants labelled images, `ConfigError` for a method or a size that is none.
    """
    config = _changed(config, method, image_size, folds)
    given = _good_in(Path(images), work) if isinstance(images, Path | str) else images
    sources = [as_source(image) for image in given]
    hashes = [_hash_content(source) for source in sources]
    different = tuple(dict.fromkeys(hashes))
    if len(different) < 2:
        raise DataError(
            f"{len(different)} different good image(s) were given",
            hint="at least 2 are needed: one to fit, one to set the threshold",
        )

    config = choose_placement(config, sources, work)
    preset = config.told_preset()
    work.note(*(preset.told() if preset else ()))

    copies: dict[str, list[Path | NDArray[Any]]] = {content: [] for content in different}
    for source, content in zip(sources, hashes, strict=True):
        copies[content].append(source)
    identity = Identity(category=name, run_id="", dataset="images", manifest_sha256=hash_value(hashes))
    with work.limit():
        samples = _samples(sources, hashes, config, work if group == "auto" else None)
        fitted = fit_bundle(config, _cut(samples, config, copies), identity, work=work)
    held = fitted.calibration
    names = [Sample(str(number), Path(str(number))) for number in range(len(held.scores))]
    known = CalibrationScores.of("", names, held, folds=config.calibration.folds)
    return Inspector(fitted.bundle, work=work, pipeline=fitted.pipeline, kept=KeptScores(known=known))


def as_source(picture: Picture) -> Path | NDArray[Any]:
    """A picture as all below takes it."""
    if isinstance(picture, str):
        return Path(picture)
    return picture if isinstance(picture, Path | np.ndarray) else pillow_to_array(picture)


def _changed(
    config: PipelineConfig, method: str | None, image_size: int | tuple[int, int] | None, folds: int | None
) -> PipelineConfig:
    changed = config if method is None else config.with_detector(method, {})
    changes: dict[str, Any] = {}
    if image_size is not None:
        changes["placement"] = {"image_size": image_size}
    if folds is not None:
        changes["calibration"] = {"folds": folds}
    return changed.changed(changes, where="fit") if changes else changed


def _good_in(folder: Path, work: Work) -> list[Path]:
    """The good pictures of a folder that are to learn from; never one of which it is not known."""
    data = with_layout(DataOptions(root=folder), work)
    return [sample.path for sample in scan_told(data_config(data), work).train_good()]


def _samples(
    sources: Sequence[Path | NDArray[Any]], hashes: Sequence[str], config: PipelineConfig, work: Work | None
) -> tuple[Sample, ...]:
    """The different pictures, called by their content, in the groups that are found; `work` None: in none."""
    first = {content: place for place, content in reversed(list(enumerate(hashes)))}
    different = tuple(dict.fromkeys(hashes))
    samples = tuple(Sample(content, Path(content), "good", sha256=content) for content in different)
    if work is None:
        return samples
    chosen = [sources[first[content]] for content in different]
    names = [f"{place:09}" if isinstance(s, np.ndarray) else s.as_posix() for place, s in enumerate(chosen)]
    names = names if len(set(names)) == len(names) else [f"{place:09}" for place in range(len(names))]
    group_of = group_pictures(dict(zip(names, chosen, strict=True)), config.placement.scale, work)
    return tuple(
        replace(sample, group=group_of.get(name), is_group_found=name in group_of)
        for name, sample in zip(names, samples, strict=True)
    )


def _cut(
    samples: Sequence[Sample], config: PipelineConfig, sources: Mapping[str, Sequence[Path | NDArray[Any]]]
) -> Sides:
    """As `lab.cut.cut_good`, by the same streams of chance. `sources`: all copies of each content."""
    calibration, placement = config.calibration, config.placement
    if images_known(config.embedding.backbone):
        raise ConfigError(
            f"{config.embedding.backbone} was tuned on good images, which must not set thresholds",
            hint="kizu train keeps them apart",
        )
    numbers = dict(zip((sample.id for sample in samples), blocks_of(samples), strict=True))

    def place(side: Sequence[Sample]) -> PlacedImages:
        return place_grouped(*_with_copies(side, numbers, sources, placement))

    if calibration.folds is not None:
        folds = k_folds(samples, calibration.folds, rng_for(config.seed, "folds"))
        parts = tuple((replace(place(fit_side), groups=None), place(held)) for fit_side, held in folds)
        return Sides(replace(place(samples), groups=None), PlacedImages(0, ()), folds=parts)
    count = max(numbers.values()) + 1
    if leaves_out(config, count):
        numbers = dict(zip(numbers, mark_anchors(config, list(numbers.values())), strict=True))
        return Sides(place(samples), PlacedImages(0, ()), left_out=True)
    fit_side, held = hold_out(samples, held_fraction(config, count), rng_for(config.seed, "hold_out"))
    return Sides(replace(place(fit_side), groups=None), place(held))


def _with_copies(
    samples: Sequence[Sample],
    numbers: Mapping[str, int],
    sources: Mapping[str, Sequence[Path | NDArray[Any]]],
    placement: PlacementConfig,
) -> tuple[list[Path | NDArray[Any]], PlacementConfig, list[int]]:
    """What `place_grouped` takes."""
    pairs = [(source, numbers[sample.id]) for sample in samples for source in sources[sample.id]]
    return [source for source, _ in pairs], placement, [number for _, number in pairs]


def _hash_content(picture: Path | NDArray[Any]) -> str:
    """The same for copies of one picture: the same bytes, and of arrays the same shape and type too."""
    if isinstance(picture, Path):
        return hash_image(picture)
    pixels = np.ascontiguousarray(picture)
    return hash_bytes(f"{pixels.shape} {pixels.dtype.str} ".encode() + pixels.tobytes())
