"""A backbone tuned to one product: good images in, a folder with a graph out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kizu.backbones.tuned import PROVENANCE, Provenance, read_provenance
from kizu.core.errors import DataError, MissingExtraError, OutputError
from kizu.core.locks import locked
from kizu.core.randomness import rng_for
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.data.manifest import Sample
from kizu.data.sheet import stage_sheet
from kizu.data.splits import ensure_apart, hold_out
from kizu.imaging.codec import encode_png
from kizu.imaging.placement import PlacementConfig
from kizu.lab.grouping import group_good
from kizu.tasks.data import data_config, scan_told
from kizu.tasks.options import DataOptions
from kizu.tasks.tune_options import TuneOptions
from kizu.tuning.config import TuneConfig

if TYPE_CHECKING:
    from kizu.tuning.loop import Pictures

SHEET = "painted.png"


@dataclass(frozen=True, slots=True)
class Tuned:
    """A finished folder."""

    folder: Path
    made: Provenance


def tune(data: DataOptions, options: TuneOptions, work: Work) -> Tuned:
    """Tune, or go on where the same command was stopped; a finished folder of the same settings and images is returned
    as it is. Good images are parted into those that train, those that validate and those that tuning never sees.

    Raises `MissingExtraError` without torch, `OutputError` for a folder of another run.
    """
    if find_spec("torch") is None:
        raise MissingExtraError("tuning needs torch, which is not installed", hint="pip install 'kizu[tune]'")
    from kizu.tuning.finish import write_tuned
    from kizu.tuning.loop import Tuning
    from kizu.tuning.networks import load_network

    config = tune_config(options)
    manifest = scan_told(data_config(data), work).with_hashes(work)
    placement = PlacementConfig(image_size=(config.side_px, config.side_px))
    good = group_good(manifest, placement, work=work).train_good()
    ensure_apart(good, manifest.test())
    train, validation = _part(good, config)
    start = time.perf_counter()
    network = load_network(config.backbone)
    sides = _place(train, placement), _place(validation, placement)
    folder = options.output_dir / (options.run_id or f"{manifest.category}-{config.backbone}-{config.seed}")
    hashes = tuple(sorted({sample.sha256 or "" for sample in (*train, *validation)}))
    with locked(folder):
        if (folder / PROVENANCE).is_file():
            return Tuned(folder, _made_before(folder, config, hashes))
        tuning = Tuning(network, config, *sides, folder)
        encode_png(folder / SHEET, stage_sheet(list(sides[0].images[:2]), config.seed))
        tuning.run(work)
        made = write_tuned(tuning, folder, hashes, time.perf_counter() - start)
    return Tuned(folder, made)


def tune_config(options: TuneOptions) -> TuneConfig:
    """What the options say. Raises `ConfigError`."""
    given = {
        "backbone": options.backbone,
        "placement": options.placement,
        "epochs": options.epochs,
        "rank": options.rank,
        "most_images": options.images,
        "side_px": options.side_px,
        "seed": options.seed,
    }
    return TuneConfig.parse({k: v for k, v in given.items() if v is not None}, where="options")


def _part(good: Sequence[Sample], config: TuneConfig) -> tuple[list[Sample], list[Sample]]:
    """(trained on, validated on), by parts; the rest is kept back."""
    if len(good) < 5:
        raise DataError(
            f"{len(good)} good images cannot be parted", hint="at least 5; 60 and more are sensible"
        )
    seen, _ = hold_out(good, config.kept_back, rng_for(config.seed, "kept back"))
    chosen = rng_for(config.seed, "tuned on").permutation(len(seen))[: config.most_images]
    tuned_on = [seen[number] for number in sorted(chosen)]
    train, validation = hold_out(tuned_on, config.validation, rng_for(config.seed, "validation"))
    return list(train), list(validation)


def _place(samples: Sequence[Sample], placement: PlacementConfig) -> Pictures:
    from kizu.tuning.loop import Pictures

    images = [batch.images for batch in stream(samples, placement, refuse_flat=True)]
    return Pictures(tuple(sample.id for sample in samples), np.concatenate(images))


def _made_before(folder: Path, config: TuneConfig, hashes: tuple[str, ...]) -> Provenance:
    made = read_provenance(folder)
    if made.config != config.model_dump(mode="json") or made.images != hashes:
        raise OutputError(f"{folder} exists, and is not what this would make", hint="choose another --run-id")
    return made
