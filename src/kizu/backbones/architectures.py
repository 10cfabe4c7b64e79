"""Networks that are drawn from a state dict: which families there are, and which of them a file's tensors make."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from numpy.typing import NDArray

from kizu.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Layer, Triple
from kizu.backbones.weights import Weights
from kizu.core.errors import BackboneError
from kizu.core.registry import look_up

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx

FAMILIES = (
    "resnet",
    "efficientnet",
    "vit",
)
"""Modules here, each a `Family`."""

HEADS = ("fc.", "head.", "classifier.", "head_dist.", "conv_head.", "bn2.")
"""How the names begin of what tells a network's classes: drawn by some families, left out by others."""
TRAINING_ONLY = (".num_batches_tracked", "mask_token")
"""Ends of names of tensors that do not change what the network gives."""


class Family(Protocol):
    """What the modules of `FAMILIES` have."""

    VARIANTS: Mapping[str, Any]
    """The sizes by name. One that was trained on other pixels than those less ImageNet's mean, over its deviation, has
    `mean` and `std`."""

    def layers(self, name: str) -> tuple[Layer, ...]:
        """The facts of a variant, without weights."""
        ...

    def draw(self, name: str, weights: Weights) -> onnx.ModelProto:
        """Its graph. Raises `BackboneError` naming the first tensor that is missing or does not fit."""
        ...


def architectures() -> dict[str, Family]:
    """Each variant's name and its family."""
    families = [cast(Family, import_module(f"kizu.backbones.{module}")) for module in FAMILIES]
    return {name: family for family in families for name in family.VARIANTS}


def layers_of(name: str) -> tuple[Layer, ...]:
    """The layers of the architecture `name`. Raises `ConfigError` for one that is not there."""
    return look_up(architectures(), name, noun="architecture").layers(name)


def normalisation_of(name: str) -> tuple[Triple, Triple]:
    """The mean and the deviation of the pixels that the architecture `name` was trained on.

    Raises `ConfigError` for one that is not there.
    """
    variant = look_up(architectures(), name, noun="architecture").VARIANTS[name]
    return getattr(variant, "mean", IMAGENET_MEAN), getattr(variant, "std", IMAGENET_STD)


def draw(name: str, weights: Weights) -> onnx.ModelProto:
    """The graph of the architecture `name`.

    Raises `ConfigError` for a name that is not there; `BackboneError` naming the first tensor that is missing, does not
    fit, or is left over: a network that has more than is drawn would give other features.
    """
    family = look_up(architectures(), name, noun="architecture")
    used = _Used(weights)
    try:
        model = family.draw(name, used)
    except BackboneError as error:
        raise BackboneError(
            f"these are not the weights of {name}: {error.message}",
            hint=error.hint or "leave --arch out to have them recognised by their tensors",
        ) from error
    left = used.left_over()
    if left:
        raise BackboneError(
            f"these are not the weights of {name}: it has no place for {left[0]!r} {weights[left[0]].shape}"
            + (f" and {len(left) - 1} more" if left[1:] else ""),
            hint="they are of another network; export that as ONNX and add the ONNX file",
        )
    return model


def recognise(weights: Weights) -> tuple[str, onnx.ModelProto]:
    """The one architecture that takes all of `weights`, and its graph.

    Raises `BackboneError` when none does, with what is missing to the nearest; and when several do, naming them: their
    tensors are called alike, and only who has the file knows.
    """
    drawn, nearest = {}, ("", -1, "")
    for name, family in architectures().items():
        used = _Used(weights)
        try:
            model = family.draw(name, used)
        except BackboneError as error:
            nearest = max(nearest, (name, len(used.names), error.message), key=lambda found: found[1])
            continue
        left = used.left_over()
        if left:
            told = f"it has no place for {left[0]!r}"
            nearest = max(nearest, (name, len(used.names), told), key=lambda found: found[1])
            continue
        drawn[name] = model
    if not drawn:
        told = f"; of {nearest[0]}, the nearest: {nearest[2]}" if nearest[1] > 0 else ""
        raise BackboneError(
            f"the tensors are those of no network that can be drawn here{told}",
            hint=f"networks that can: {', '.join(architectures())}; any other can be added as an ONNX file",
        )
    if len(drawn) > 1:
        raise BackboneError(
            f"the tensors fit {' and '.join(drawn)}",
            hint="say which with --arch: the file does not tell them apart",
        )
    return next(iter(drawn.items()))


class _Used(Weights):
    """The same weights; remembers which of them were taken."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> NDArray[Any]:
        found = self._weights[name]
        self.names.add(name)
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._weights  # asking is not taking

    def __iter__(self) -> Iterator[str]:
        return iter(self._weights)

    def __len__(self) -> int:
        return len(self._weights)

    def left_over(self) -> list[str]:
        """What was not taken and would have mattered."""
        return [
            name
            for name in self._weights
            if name not in self.names and not name.startswith(HEADS) and not name.endswith(TRAINING_ONLY)
        ]
