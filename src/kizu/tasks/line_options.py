"""Options of what runs on the line, and of what is sent there."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from kizu.tasks.options import Flag, SkipBroken


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What is inspected, with what, and where results go."""

    run_dir: Annotated[
        list[Path] | None,
        Flag(
            "The run folder that `kizu train` printed; may be given again, as --model.",
            ("--run-dir",),
            is_there=True,
        ),
    ] = None
    model: Annotated[
        list[Path] | None,
        Flag(
            "A run folder, or a file that `kizu export` wrote. Given again, or a folder of runs and files: several"
            " products, and each picture goes to the model of the one that it shows.",
            ("--model",),
            is_there=True,
        ),
    ] = None
    folder: Annotated[
        Path | None,
        Flag(
            "Folder of images, searched with its sub-folders; or one image; or - for paths on stdin.",
            is_argument=True,
            is_there=True,
        ),
    ] = None
    input_dir: Annotated[Path | None, Flag("The same as the argument.")] = None
    image_list: Annotated[
        Path | None, Flag("In place of a folder: a file with a path on each line.", ("--list",))
    ] = None
    glob: Annotated[str | None, Flag("Of a folder, only paths that match, such as '*.png' or 'line1/*'.")] = (
        None
    )
    watch: Annotated[
        bool, Flag("Keep watching the folder: inspect each new file once, until Ctrl-C.", ("--watch",))
    ] = False
    interval: Annotated[
        float,
        Flag(
            "With --watch: seconds between two looks. A file is inspected when it did not change between them.",
            least=0.01,
        ),
    ] = 0.5
    idle: Annotated[
        float | None, Flag("With --watch: stop when no file has come for this many seconds.", least=0)
    ] = None
    assume_good: Annotated[
        bool,
        Flag(
            "All these pictures are of good parts: measure the false alarms beside the promise. No verdict changes.",
            ("--assume-good",),
        ),
    ] = False
    category: Annotated[
        str | None, Flag("For a model of several categories: which one these images show.")
    ] = None
    output_dir: Annotated[
        Path | None,
        Flag(
            "Where results go. Default: inspections/<folder name> in the run folder, or beside the model; with several"
            " models it must be given."
        ),
    ] = None
    require_signature: Annotated[
        Path | None,
        Flag("Refuse a model file that was not signed by this public key (PEM).", ("--require-signature",)),
    ] = None


@dataclass(frozen=True, slots=True)
class MarkOptions:
    """Which flaws are listed."""

    min_defect_area: Annotated[int, Flag("Smaller flaws are not listed; pixels.", least=1)] = 1
    pixel_threshold_mult: Annotated[float, Flag("Multiplies the pixel threshold.", least=1e-6)] = 1.0


@dataclass(frozen=True, slots=True)
class DecisionOptions(MarkOptions):
    """How an image is decided on."""

    open_px: Annotated[
        int, Flag("Remove marks thinner than this many pixels (opening by a square; odd).", least=1)
    ] = 1
    close_px: Annotated[
        int, Flag("Then fill gaps narrower than this many pixels (closing by a square; odd).", least=1)
    ] = 1
    roi: Annotated[
        Path | None,
        Flag("Where flaws count: JSON polygons, or a picture. The map then decides, not the image score."),
    ] = None
    ignore: Annotated[Path | None, Flag("Where flaws do not count: JSON polygons, or a picture.")] = None


class Overlay(StrEnum):
    """How a verdict is drawn."""

    BLEND = "blend"
    SIDE = "side"
    OUTLINE = "outline"


@dataclass(frozen=True, slots=True)
class SavedOptions:
    """What is written of each image."""

    save_csv: Annotated[bool, Flag("Write preds.csv as well.", ("--csv",))] = False
    save_masks: Annotated[bool, Flag("Write masks/.", ("--save-masks/--no-save-masks",))] = True
    save_overlays: Annotated[bool, Flag("Write overlays/.", ("--save-overlays/--no-save-overlays",))] = True
    save_page: Annotated[
        bool, Flag("Write index.html to look at, and its pictures in page/.", ("--page/--no-page",))
    ] = True
    overlay: Annotated[
        Overlay, Flag("The map over the picture, that beside the picture as it is, or outlines alone.")
    ] = Overlay.BLEND


@dataclass(frozen=True, slots=True)
class WritingOptions(SavedOptions):
    """What is written of each image, and how many go through at a time."""

    refuse_pages: Annotated[
        bool,
        Flag("No verdict for files with several pages: only the first is looked at.", ("--refuse-pages",)),
    ] = False
    batch_size: Annotated[int, Flag("Images handled together; 1 gives each verdict soonest.", least=1)] = 8


class Format(StrEnum):
    """What an export is written as."""

    ONNX = "onnx"
    OPENVINO = "openvino"


class Precision(StrEnum):
    """How an export stores numbers."""

    F32 = "f32"
    F16 = "f16"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class ExportOptions:
    """What is written, and where."""

    form: Annotated[Format, Flag("One ONNX file, or an OpenVINO IR.", ("--format",))] = Format.ONNX
    precision: Annotated[
        Precision,
        Flag(
            "f16 stores half precision, int8 computes the network in 8 bits; written only if no decision changes."
        ),
    ] = Precision.F32
    input_size: Annotated[
        str | None,
        Flag(
            "Take whole pictures of this size, and resize them inside the file: height x width, such as 1024x1536."
            " Default: pictures are resized before."
        ),
    ] = None
    sign: Annotated[
        Path | None, Flag("Sign the file with this private Ed25519 key (PEM).", ("--sign",), is_file=True)
    ] = None
    output_dir: Annotated[Path | None, Flag("Where it goes. Default: export/ in the run folder.")] = None
    max_size_mb: Annotated[float, Flag("Refuse to write a model larger than this.", least=1)] = 512


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Which files are compared with the run, on what."""

    model: Annotated[
        list[Path] | None,
        Flag("An exported file; may be given again. Default: those in export/.", ("--model",)),
    ] = None
    images: Annotated[int | None, Flag("Compare on this many of the test images. Default: all.", least=1)] = (
        None
    )
    random: Annotated[int, Flag("Also compare on this many noise images.", ("--random",), least=0)] = 0
    require_signature: Annotated[
        Path | None,
        Flag("Refuse files that were not signed by this public key (PEM).", ("--require-signature",)),
    ] = None


@dataclass(frozen=True, slots=True)
class UpdateOptions:
    """More good images for a run."""

    images: Annotated[Path, Flag("Folder of good images, searched with its sub-folders.")]
    reason: Annotated[str, Flag("Why these are good; it is kept with the new version.")]
    skip_broken: SkipBroken = False


@dataclass(frozen=True, slots=True)
class RollbackOptions:
    """Which version comes back."""

    to: Annotated[
        int | None, Flag("Which version. Default: the one that the present version was made from.", least=1)
    ] = None
    reason: Annotated[str | None, Flag("Why; it is kept in versions.json.")] = None
