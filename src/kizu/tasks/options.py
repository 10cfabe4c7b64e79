"""The options of every task, as frozen dataclasses. Light: a face that only lists them imports nothing heavy.

Each field's `Flag` says what a command line needs to know of it.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NamedTuple

from kizu.core.errors import ConfigError
from kizu.core.lists import comma_separated
from kizu.detectors import DETECTORS


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
    Path | None, Flag("Folder of the data set; mvtec_ad also looks at MVTEC_ROOT.", ("--data-root",))
]
Layout = Annotated[
    str | None, Flag("How it lies on disk: mvtec_ad, folder, elpv or demo. Default: mvtec_ad.")
]
Config = Annotated[
    Path | None, Flag("YAML with any of the settings; flags win over it.", ("--config",), is_file=True)
]
RunDir = Annotated[Path, Flag("The run folder that `kizu train` printed.")]
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


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Where the contact sheet goes."""

    preview: Annotated[Path, Flag("Where the contact sheet goes.")] = Path("preview.png")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Settings of a pipeline that have a flag; what is None stays as the config has it."""

    config_file: Config = None
    model: Annotated[str | None, Flag(f"The method: {', '.join(DETECTORS)}.")] = None
    backbone: Backbone = None
    layers: Annotated[str | None, Flag("Feature layers, comma separated.")] = None
    image_size: ImageSize = None
    resize: Annotated[
        str | None, Flag("With --tile-overlap: the size that is cut into tiles: 1024x1536.")
    ] = None
    tile_overlap: Annotated[
        float | None,
        Flag("Cut images into tiles of --image-size that overlap by this part, such as 0.25."),
    ] = None
    coreset: Annotated[float | None, Flag("PatchCore: part of the patches that is kept.")] = None
    false_alarm_rate: Annotated[
        float | None,
        Flag("Guarantee this rate on good parts, or refuse. Default: 0.01 or the best there is."),
    ] = None
    zones: Annotated[str | None, Flag("A pixel threshold for each zone of a grid, rows x columns: 2x3.")] = (
        None
    )
    group: Annotated[
        str | None,
        Flag(
            "Regular expression over image names: those whose first bracket is the same (one part, one lot) stay on"
            " one side."
        ),
    ] = None
    seed: Annotated[int | None, Flag("All randomness comes from it.", least=0)] = None


@dataclass(frozen=True, slots=True)
class RunOptions:
    """The run folder that a training makes."""

    output_dir: Annotated[Path, Flag("Where run folders go.")] = Path("runs")
    run_id: Annotated[str | None, Flag("Name of the run folder. Default: the time.")] = None
    skip_broken: SkipBroken = False


class PixelMetric(StrEnum):
    """What a pixel threshold is to make highest."""

    F1 = "f1"
    IOU = "iou"


@dataclass(frozen=True, slots=True)
class ThresholdOptions:
    """How a run's thresholds are set anew before it is measured."""

    compute_thresholds: Annotated[
        bool,
        Flag("With --run-dir: set them anew first, on the good images held out.", ("--compute-thresholds",)),
    ] = False
    rule: Annotated[
        str | None,
        Flag("For --compute-thresholds: the image rule, such as conformal_confident or maximum."),
    ] = None
    false_alarm_rate: Annotated[
        float | None, Flag("For --compute-thresholds: guarantee this rate, or refuse.")
    ] = None
    zones: Annotated[
        str | None, Flag("For --compute-thresholds: a pixel threshold for each of rows x columns: 2x3.")
    ] = None
    tune_on_validation: Annotated[
        bool,
        Flag("With --run-dir: choose them first, on labelled validation images.", ("--tune-on-validation",)),
    ] = False
    pixel_metric: Annotated[PixelMetric, Flag("For --tune-on-validation: what pixels are tuned for.")] = (
        PixelMetric.F1
    )


@dataclass(frozen=True, slots=True)
class FrozenOptions:
    """What of a frozen pipeline is measured, and where it goes."""

    frozen: Annotated[
        Path | None,
        Flag("In place of a run: the file that `kizu freeze` wrote.", ("--frozen",), is_file=True),
    ] = None
    categories: Annotated[
        str | None, Flag("With --frozen, comma separated: names below --data-root, or folders.")
    ] = None
    include_dev: Annotated[
        bool, Flag("With --frozen: also development categories, marked.", ("--include-dev",))
    ] = False
    output_dir: Annotated[Path | None, Flag("With --frozen: where results go. Default: runs/eval.")] = None


@dataclass(frozen=True, slots=True)
class DesignOptions:
    """What is tried, on what, and where the choice goes."""

    categories: Annotated[str, Flag("Comma separated: names below --data-root, or folders of categories.")]
    methods: Annotated[str, Flag("Comma separated.")] = "patchcore,padim,mahalanobis"
    candidates_file: Annotated[
        Path | None,
        Flag("YAML: method -> list of changes, such as {detector: {coreset: 0.1}}.", ("--candidates",)),
    ] = None
    config_file: Config = None
    seeds: Annotated[str, Flag("Comma separated.")] = "0"
    rate: Annotated[float, Flag("Of good test images that the threshold may reject.")] = 0.01
    output: Annotated[Path, Flag("What was chosen, and why.")] = Path("runs/design.json")
    features_mb: Annotated[int, Flag("Features kept on disk, so that candidates share them.", least=0)] = 4096


@dataclass(frozen=True, slots=True)
class FreezeOptions:
    """What is frozen: a design, or choices made by hand."""

    design_file: Annotated[Path | None, Flag("What `kizu design` wrote.", ("--design",), is_file=True)] = None
    config_files: Annotated[
        list[Path] | None, Flag("Chosen by hand: one YAML for each method.", ("--config",))
    ] = None
    dev: Annotated[str | None, Flag("With --config: the categories that were looked at, as in `design`.")] = (
        None
    )
    note: Annotated[str | None, Flag("With --config: where the choices came from.")] = None
    seeds: Annotated[str, Flag("Comma separated.")] = "0,1,2"
    output: Annotated[Path, Flag("The file to write.")] = Path("assets/fixed_pipeline.json")


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What is inspected, with what, and where results go."""

    run_dir: Annotated[Path | None, Flag("The run folder that `kizu train` printed.", ("--run-dir",))] = None
    model: Annotated[
        Path | None, Flag("In place of a run: a file that `kizu export` wrote.", ("--model",))
    ] = None
    folder: Annotated[
        Path | None,
        Flag(
            "Folder of images, searched with its sub-folders; or one image; or - for paths on stdin.",
            is_argument=True,
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
        bool, Flag("Go on: inspect each new file of the folder once, until Ctrl-C.", ("--watch",))
    ] = False
    interval: Annotated[
        float, Flag("With --watch: seconds between two looks; a file must stay as it is.", least=0.01)
    ] = 0.5
    idle: Annotated[
        float | None, Flag("With --watch: stop when nothing has come for so many seconds.", least=0)
    ] = None
    category: Annotated[
        str | None, Flag("For a model of several categories: which one these images are of.")
    ] = None
    output_dir: Annotated[
        Path | None,
        Flag("Where results go. Default: inspections/<folder name> in the run folder, or beside the model."),
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
        int, Flag("Opens marked pixels by a square of this side, odd: what is thinner goes.", least=1)
    ] = 1
    close_px: Annotated[
        int, Flag("Then closes them by a square of this side, odd: fills narrower gaps.", least=1)
    ] = 1
    roi: Annotated[
        Path | None,
        Flag("Where flaws count: JSON polygons, or a picture. The map then decides, not the image score."),
    ] = None
    ignore: Annotated[Path | None, Flag("Where they do not: JSON polygons, or a picture.")] = None


@dataclass(frozen=True, slots=True)
class SavedOptions:
    """What is written of each image."""

    save_csv: Annotated[bool, Flag("Write preds.csv as well.", ("--csv",))] = False
    save_masks: Annotated[bool, Flag("Write masks/.", ("--save-masks/--no-save-masks",))] = True
    save_overlays: Annotated[bool, Flag("Write overlays/.", ("--save-overlays/--no-save-overlays",))] = True


@dataclass(frozen=True, slots=True)
class WritingOptions(SavedOptions):
    """What is written of each image, and how many go through at a time."""

    batch_size: Annotated[
        int, Flag("Images at a time; 1: the shortest way from file to verdict.", least=1)
    ] = 8


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
        Flag("f16 stores half, int8 computes the network in 8 bits; kept only if no decision flips."),
    ] = Precision.F32
    output_dir: Annotated[Path | None, Flag("Where it goes. Default: export/ in the run folder.")] = None
    max_size_mb: Annotated[float, Flag("Refuse a model that learned more than this.", least=1)] = 512


@dataclass(frozen=True, slots=True)
class VerifyOptions:
    """Which files are compared with the run, on what."""

    model: Annotated[
        list[Path] | None,
        Flag("An exported file; may be given again. Default: those in export/.", ("--model",)),
    ] = None
    images: Annotated[int | None, Flag("So many of the test images. Default: all.", least=1)] = None
    random: Annotated[int, Flag("Also compare on this many noise images.", ("--random",), least=0)] = 0


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """What a pipeline may cost, and where the choice goes."""

    latency_ms: Annotated[float | None, Flag("An image may take this long, by itself.", least=0)] = None
    memory_mb: Annotated[
        float | None, Flag("The fit may take this much. Default: what the machine has free.", least=1)
    ] = None
    fit_seconds: Annotated[float | None, Flag("The fit may take this long.", least=0)] = None
    output: Annotated[
        Path | None, Flag("Write the choice here, for kizu train --config.", ("--output", "-o"))
    ] = None


@dataclass(frozen=True, slots=True)
class RankOptions:
    """A folder that is ranked without one good image."""

    folder: Annotated[Path, Flag("Folder of images, searched with its sub-folders.", is_argument=True)]
    output_dir: Annotated[Path, Flag("Where ranking.jsonl and overlays/ go.")] = Path("zero-shot")
    backbone: Backbone = None
    image_size: ImageSize = None
    overlays: Annotated[
        int, Flag("Draw the pictures of this many images, the least usual ones.", least=0)
    ] = 20
    seed: Annotated[int, Flag("Draws which images judge each other.", least=0)] = 0


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
        int | None, Flag("Which version. Default: the one the present one was made from.", least=1)
    ] = None
    reason: Annotated[str | None, Flag("Why; it is kept in versions.json.")] = None


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Two runs of one category."""

    first: Annotated[Path, Flag("One run folder.", ("--run-dir-a",))]
    second: Annotated[Path, Flag("Another, of the same category.", ("--run-dir-b",))]
    output_dir: Annotated[Path | None, Flag("Where it goes. Default: comparisons/<a>-<b>.")] = None


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Where the demo goes."""

    output_dir: Annotated[
        Path, Flag("Where everything goes. The runs of an earlier demo there are replaced, and nothing else.")
    ] = Path("kizu-demo")
    seed: Annotated[int, Flag("All randomness comes from it.", least=0)] = 0


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
