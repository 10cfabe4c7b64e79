"""The flags that several commands share, and how they reach the settings."""

import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from kizu.core.errors import ConfigError


class Device(StrEnum):
    """Where graphs run."""

    CPU = "cpu"
    CUDA = "cuda"


class Runtime(StrEnum):
    """What runs graphs."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="YAML with any of the settings; flags win over it.", dir_okay=False),
]
DataRoot = Annotated[
    Path | None,
    typer.Option("--data-root", help="Folder of the data set; mvtec_ad also looks at MVTEC_ROOT."),
]
Category = Annotated[
    str | None,
    typer.Option(help="Which of its products; several with commas: one model for all, thresholds for each."),
]
Layout = Annotated[
    str | None, typer.Option(help="How it lies on disk: mvtec_ad, folder, elpv or demo. Default: mvtec_ad.")
]
RunDir = Annotated[Path, typer.Option(help="The run folder that `kizu train` printed.")]
DeviceOption = Annotated[Device, typer.Option("--device", help="Where the network runs.")]
RuntimeOption = Annotated[Runtime, typer.Option("--runtime", help="What runs the network.")]
Threads = Annotated[int | None, typer.Option(help="Threads that compute. Default: every core.", min=1)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, on stderr.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]


def start_logging(verbose: bool) -> None:
    """Facts on stderr; stdout is for data."""
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO if verbose else logging.WARNING,
        format="%(levelname)s %(message)s",
    )


def set_values(**flags: Any) -> dict[str, Any]:
    """Those flags that were given."""
    return {name: value for name, value in flags.items() if value is not None}


def parse_size(text: str) -> tuple[int, int]:
    """ "256" or "256x384" (height x width)."""
    return parse_grid("--image-size", f"{text}x{text}" if text.isdecimal() else text)


def parse_grid(flag: str, text: str) -> tuple[int, int]:
    """ "2x3": rows x columns, or height x width. Raises `ConfigError` naming the flag."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise ConfigError(
            f"{flag} {text!r} is not a size", hint="give height x width, such as 256x384 or 2x3"
        )
    return int(sides[0]), int(sides[1])
