"""The options of `kizu backbones`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from kizu.tasks.options import Flag

Licence = Annotated[
    str | None, Flag("Licence of the weights, best as SPDX (Apache-2.0); it is recorded in every model.")
]


@dataclass(frozen=True, slots=True)
class AddOptions:
    """A file of weights, or of a graph, and what is known of it."""

    file: Annotated[
        Path,
        Flag(
            "Weights as a state dict (.pth, .safetensors), or an ONNX file.", is_argument=True, is_file=True
        ),
    ]
    name: Annotated[str, Flag("The name that it gets, for --backbone.", ("--as",))]
    arch: Annotated[
        str | None, Flag("Architecture of a state dict, such as resnet50. Default: told by its tensors.")
    ] = None
    licence: Licence = None
    source: Annotated[str | None, Flag("Where it comes from. Default: the file's name.")] = None
    mean: Annotated[
        str | None,
        Flag(
            "Mean of red, green, blue that it was trained with, 0..1. Default: the file's, else ImageNet's."
        ),
    ] = None
    std: Annotated[str | None, Flag("Deviation of these. Default: the file's, else ImageNet's.")] = None


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """A model of timm, as a file."""

    name: Annotated[str, Flag("A model of timm, such as resnet50.a1_in1k.", is_argument=True)]
    output: Annotated[Path, Flag("The ONNX file to write.", ("--output",))]
    image_size: Annotated[
        str, Flag("Its input from now on: 224, or height x width: 256x384.", ("--image-size",))
    ] = "224"
    weights: Annotated[
        Path | None,
        Flag("A state dict in timm's names. Default: timm downloads its own.", is_file=True),
    ] = None
    licence: Licence = None


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """Published weights."""

    name: Annotated[str, Flag("A name that `kizu backbones` says can be fetched.", is_argument=True)]
    known_as: Annotated[str | None, Flag("The name that it gets. Default: the same.", ("--as",))] = None
