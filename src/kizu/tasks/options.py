"""What the options of all tasks are made of: frozen dataclasses whose fields say how a command line takes them.

Light: a face that only lists them imports nothing heavy.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

from kizu.core.errors import ConfigError
from kizu.core.lists import comma_separated


class Flag(NamedTuple):
    """How one option is given on a command line."""

    help: str
    names: tuple[str, ...] = ()
    """Empty: made from the field's."""
    least: float | None = None
    is_argument: bool = False
    """Given by its place, without a name."""
    is_file: bool = False
    """A folder will not do."""
    is_there: bool = False
    """A path that must be there: looked for before anything heavy is loaded, so that a slip costs no time."""
    old: tuple[str, ...] = ()
    """Names of earlier releases: they go on working for one more, with a note."""


class Runtime(StrEnum):
    """What runs graphs."""

    ONNXRUNTIME = "onnxruntime"
    OPENVINO = "openvino"


class Device(StrEnum):
    """Where graphs run."""

    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class WorkOptions:
    """What the work may use."""

    device: Annotated[Device, Flag("Where the network runs.")] = Device.CPU
    runtime: Annotated[Runtime, Flag("What runs the network.")] = Runtime.ONNXRUNTIME
    threads: Annotated[int | None, Flag("Cores that are kept busy. Default: every core.", least=1)] = None


@dataclass(frozen=True, slots=True)
class CoreOptions:
    """How much of the machine the work may use, where the runtime is given."""

    threads: Annotated[int | None, Flag("Cores that are kept busy. Default: every core.", least=1)] = None


Root = Annotated[
    Path | None,
    Flag("Folder of the data set; mvtec_ad also looks at MVTEC_ROOT.", ("--data-root",), is_there=True),
]


Layout = Annotated[
    str | None,
    Flag(
        "How it lies on disk: mvtec_ad, mvtec_ad2, mvtec_loco, visa, btad, mpdd, kolektor, real_iad, datumaro, coco,"
        " folder, elpv or demo. Default: guessed from the folders, and told."
    ),
]


Config = Annotated[
    Path | None, Flag("YAML with any of the settings; flags win over it.", ("--config",), is_file=True)
]


RunDir = Annotated[
    Path, Flag("The run folder that `kizu train` printed.", ("--model",), is_there=True, old=("--run-dir",))
]


Backbone = Annotated[str | None, Flag("A name from `kizu backbones`, or an ONNX file.")]


ImageSize = Annotated[str | None, Flag("Network input: 256, or height x width: 256x384.")]


SkipBroken = Annotated[bool, Flag("Leave unreadable images out.", ("--skip-broken",))]


@dataclass(frozen=True, slots=True)
class DataOptions:
    """Which images."""

    root: Root = None
    category: Annotated[
        str | None,
        Flag("Which of its products; several with commas: one model for all, thresholds for each."),
    ] = None
    layout: Layout = None


@dataclass(frozen=True, slots=True)
class CategoriesOptions:
    """Where several categories are looked for."""

    root: Root = None
    layout: Layout = None


def parse_size(text: str, *, flag: str = "--image-size") -> tuple[int, int]:
    """ "256" or "256x384" (height x width)."""
    return parse_grid(flag, f"{text}x{text}" if text.isdecimal() else text)


def parse_grid(flag: str, text: str) -> tuple[int, int]:
    """ "2x3": rows x columns, or height x width. Raises `ConfigError` naming the flag."""
    sides = text.lower().split("x")
    if len(sides) != 2 or not all(side.isdecimal() for side in sides):
        raise ConfigError(
            f"{flag} {text!r} is not a size", hint="give height x width, such as 256x384 or 2x3"
        )
    return int(sides[0]), int(sides[1])


def parse_seeds(text: str) -> tuple[int, ...]:
    """ "0,1,2" """
    parts = comma_separated(text, where="--seeds")
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--seeds {text!r} are not whole numbers", hint="give 0,1,2")
    return tuple(int(part) for part in parts)
