"""What each layer of a network is worth to a pipeline: what it tells alone, and what is lost without it.

For a study, not for a choice: it measures on the labelled test split, and who picks layers by it has fitted to that
split. Layers hold much of the same, so that what is lost without one says little of what it holds: hence both columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kizu.backbones.store import load_spec
from kizu.core.errors import DataError
from kizu.core.types import F32, Bool
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.lab.trial import run_trial
from kizu.metrics.compare import Difference, delong, holm
from kizu.metrics.intervals import Interval
from kizu.metrics.undefined import Undefined
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.embedding import layer_names


@dataclass(frozen=True, slots=True)
class Reached:
    """What a pipeline reached with some layers."""

    layers: tuple[str, ...]
    image_auroc: float
    interval: Interval | None
    """Over test images, as if none depended on another; None: none is known that covers."""
    aupro_030: float | None
    """None: no masks."""


@dataclass(frozen=True, slots=True)
class LayerRow:
    """One layer."""

    layer: str
    alone: Reached
    without: Reached | None
    """With all others; None: there is no other."""
    gain: Difference | None
    """Image AUROC with all layers less that without this one, on the same images; None: none, or too few images."""
    p_value: float | None
    """Of no gain, for all layers together (Holm)."""


@dataclass(frozen=True, slots=True)
class LayerImportance:
    """All layers together, and each."""

    together: Reached
    rows: tuple[LayerRow, ...]
    """Finest first."""


def layer_importance(config: PipelineConfig, manifest: Manifest, *, work: Work = Work()) -> LayerImportance:
    """Fit and measure `config` with all the layers it looks at, with each alone and without each, on a hashed manifest.

    Twice as many trials as layers, and one; each as `run_trial`, with the same seed. Where a finer layer is left out
    the grid is that of the next one, which belongs to what the finer is worth. Raises as `run_trial`, and
    `ConfigError` for layers that are not there, `DataError` for a test split without good or without defective images.
    """
    if len({sample.label == "defect" for sample in manifest.test()}) < 2:
        raise DataError(
            f"the test split of {manifest.category} is of one kind",
            hint="layers are compared by good and defective ones",
        )
    spec = load_spec(config.embedding.backbone)
    chosen = spec.choose(layer_names(config.embedding, spec))
    names = tuple(layer.name for layer in chosen)
    tried: dict[tuple[str, ...], _Trial] = {}
    alone = [(name,) for name in names]
    others = [tuple(other for other in names if other != name) for name in names]
    wanted = list(dict.fromkeys([names, *alone, *(some for some in others if some)]))
    for number, layers in enumerate(wanted):
        tried[layers] = _try(config, layers, manifest, work.quiet())
        work.report("layers", number + 1, len(wanted))
    gains = {name: _gain(tried[names], tried[rest]) for name, rest in zip(names, others, strict=True) if rest}
    corrected = holm({name: gain.p_value for name, gain in gains.items() if gain is not None})
    rows = tuple(
        LayerRow(
            layer=name,
            alone=tried[name,].reached,
            without=tried[rest].reached if rest else None,
            gain=gains.get(name),
            p_value=corrected.get(name),
        )
        for name, rest in zip(names, others, strict=True)
    )
    return LayerImportance(tried[names].reached, rows)


@dataclass(frozen=True, slots=True)
class _Trial:
    reached: Reached
    labels: Bool
    """(N,) True = defective"""
    scores: F32
    """(N,)"""


def _try(config: PipelineConfig, layers: Sequence[str], manifest: Manifest, work: Work) -> _Trial:
    changed = config.changed({"embedding": {"layers": list(layers)}}, where="layers")
    with run_trial(changed, manifest, work=work) as trial:
        metrics = trial.evaluation.metrics
        auroc = metrics["image_auroc"]
        if auroc is None:
            raise DataError(f"image AUROC: {trial.evaluation.reasons['image_auroc']}")
        reached = Reached(
            layers=tuple(layers),
            image_auroc=auroc,
            interval=trial.evaluation.intervals.get("image_auroc"),
            aupro_030=metrics["aupro_030"],
        )
        labels = np.array([sample.label == "defect" for sample in trial.found.samples])
        return _Trial(reached, labels, trial.found.scores.copy())


def _gain(together: _Trial, without: _Trial) -> Difference | None:
    try:
        return delong(together.labels, together.scores, without.scores)
    except Undefined:
        return None
