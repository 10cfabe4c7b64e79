"""Options of data sets that others publish: fetching them, and handing results in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from kizu.tasks.options import Flag, Layout

Counts = Annotated[
    str | None,
    Flag(
        "For a rehearsal: images of each category in each private set, such as can=3,rice=2. Default: the real ones."
    ),
]


@dataclass(frozen=True, slots=True)
class SubmitOptions:
    """Which models, on whose images, into which folder."""

    run_dirs: Annotated[
        list[Path], Flag("A run of one or several categories; may be given again.", ("--run-dir",))
    ]
    output: Annotated[Path, Flag("Where the maps and submission.tar.gz go.")]
    root: Annotated[
        Path | None, Flag("Folder of MVTec AD 2. Default: where each run's images lie.", ("--data-root",))
    ] = None
    counts: Counts = None


@dataclass(frozen=True, slots=True)
class SubmitCheckOptions:
    """What is checked, against what."""

    submission: Annotated[
        Path, Flag("The folder that holds anomaly_images, or its tar.gz.", is_argument=True)
    ]
    root: Annotated[
        Path | None,
        Flag("Folder of MVTec AD 2, to compare sizes with the images.", ("--data-root",)),
    ] = None
    counts: Counts = None


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """Which data set, where to, and that its licence is accepted."""

    name: Annotated[
        str | None,
        Flag("A name from the list that is shown without one.", is_argument=True),
    ] = None
    to: Annotated[Path | None, Flag("The folder in which it gets a folder of its own.", ("--to",))] = None
    accept_licence: Annotated[
        bool, Flag("You have read its licence, and accept it.", ("--accept-licence",))
    ] = False


@dataclass(frozen=True, slots=True)
class ShiftOptions:
    """What is done to the pictures, how much of it, and where they go."""

    output: Annotated[Path, Flag("Folder of the shifted data set: each category gets a folder in it.")]
    severity: Annotated[int, Flag("0, the pictures themselves, to 5.", least=0)] = 3
    shift: Annotated[
        str,
        Flag(
            "A composition: mvtec_shift, shift_a, shift_b, geometry, lighting; or a single shift, such as rotation,"
            " brightness, defocus, gaussian_noise, jpeg."
        ),
    ] = "mvtec_shift"
    seed: Annotated[int, Flag("Of all chance, with each picture's name.", least=0)] = 0


@dataclass(frozen=True, slots=True)
class InitOptions:
    """The folder that a config is for, and where it goes."""

    folder: Annotated[Path, Flag("Folder of pictures, or of a data set.", is_argument=True)]
    category: Annotated[str | None, Flag("Which of its products.")] = None
    layout: Layout = None
    output: Annotated[Path, Flag("The file to write.", ("--output", "-o"))] = Path("kizu.yaml")
    overwrite: Annotated[bool, Flag("Replace the file where it is there.", ("--overwrite",))] = False
