"""Options of what learns, chooses and measures."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from kizu.detectors import DETECTORS
from kizu.tasks.options import Backbone, Config, Flag, ImageSize, SkipBroken


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """Where the contact sheet goes."""

    preview: Annotated[Path, Flag("Where the contact sheet goes.")] = Path("preview.png")
    pairs: Annotated[
        Path,
        Flag("Where the closest pairs of images go that show one part on two sides; where there are any."),
    ] = Path("siblings.png")


@dataclass(frozen=True, slots=True)
class PipelineOptions:
    """Settings of a pipeline that have a flag; what is None stays as the config has it."""

    config_file: Config = None
    preset: Annotated[
        str | None,
        Flag("A published method from `kizu presets`; what --config and other flags say wins, and is told."),
    ] = None
    method: Annotated[
        str | None, Flag(f"One of {', '.join(DETECTORS)}.", ("--method",), old=("--model",))
    ] = None
    backbone: Backbone = None
    layers: Annotated[str | None, Flag("Feature layers, comma separated.")] = None
    image_size: ImageSize = None
    pixels: Annotated[
        int | None,
        Flag(
            "Pixels of the network's input, in place of --image-size: the shape is the good images' own where they"
            " share an elongated one, else a square. Default: 65536.",
            least=256,
        ),
    ] = None
    smallest_flaw_px: Annotated[
        float | None,
        Flag(
            "Side of the smallest flaw to find, in pixels of the images: takes as many --pixels as it needs."
        ),
    ] = None
    resize: Annotated[
        str | None, Flag("With --tile-overlap: the size that is cut into tiles: 1024x1536.")
    ] = None
    tile_overlap: Annotated[
        float | None,
        Flag("Cut images into tiles of --image-size that overlap by this part, such as 0.25."),
    ] = None
    coreset: Annotated[
        float | None, Flag("PatchCore: the part of the patches that is kept, such as 0.1.")
    ] = None
    false_alarm_rate: Annotated[
        float | None,
        Flag(
            "Promise at most this false-alarm rate on good parts, or refuse. Default: 0.01, or what the good"
            " images allow."
        ),
    ] = None
    rule: Annotated[
        str | None,
        Flag(
            "Sets the image threshold: conformal, conformal_confident, quantile, maximum, mean_sigma; with labelled"
            " validation images f1_max, cost. YAML: calibration: {rule: maximum}."
        ),
    ] = None
    folds: Annotated[
        int | None,
        Flag(
            "Score each good image by a fit without it, in this many folds. YAML: calibration: {folds: 5}.",
            least=2,
        ),
    ] = None
    fraction: Annotated[
        float | None,
        Flag("Hold this part of the good images out instead. YAML: calibration: {fraction: 0.3}."),
    ] = None
    zones: Annotated[str | None, Flag("A pixel threshold for each zone of a grid, rows x columns: 2x3.")] = (
        None
    )
    group: Annotated[
        str | None,
        Flag(
            "Which images stay on one side of a split. auto, the default: those that prove to show one part; none: each"
            " for itself; else a regular expression over image names, and those whose first bracket is the same (one"
            " part, one lot) stay together."
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
        Flag(
            "With --model: first set the thresholds anew, on the good images held out.",
            ("--compute-thresholds",),
        ),
    ] = False
    rule: Annotated[
        str | None,
        Flag("For --compute-thresholds: the image rule, such as conformal_confident or maximum."),
    ] = None
    false_alarm_rate: Annotated[
        float | None, Flag("For --compute-thresholds: promise at most this false-alarm rate, or refuse.")
    ] = None
    zones: Annotated[
        str | None, Flag("For --compute-thresholds: a pixel threshold for each of rows x columns: 2x3.")
    ] = None
    tune_on_validation: Annotated[
        bool,
        Flag(
            "With --model: first choose the thresholds on labelled validation images.",
            ("--tune-on-validation",),
        ),
    ] = False
    pixel_metric: Annotated[
        PixelMetric, Flag("For --tune-on-validation: what the pixel threshold makes highest.")
    ] = PixelMetric.F1
    reason: Annotated[
        str | None,
        Flag("For either: why; it is kept with the new version. Default: what was set."),
    ] = None


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
        bool, Flag("With --frozen: also evaluate development categories, marked as such.", ("--include-dev",))
    ] = False
    output_dir: Annotated[
        Path | None,
        Flag("With --frozen: where results go, each pipeline's into its own folder. Default: runs/eval."),
    ] = None


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
    rate: Annotated[float, Flag("The part of the good test images that the threshold may reject.")] = 0.01
    output: Annotated[Path, Flag("Where the choice, and why it was made, is written.")] = Path(
        "runs/design.json"
    )
    features_mb: Annotated[
        int, Flag("Megabytes of features kept on disk, so that candidates share them.", least=0)
    ] = 4096


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
    note: Annotated[str | None, Flag("With --config: where the choices came from, in a sentence.")] = None
    seeds: Annotated[str, Flag("Comma separated.")] = "0,1,2"
    output: Annotated[Path, Flag("The file to write.")] = Path("assets/fixed_pipeline.json")


@dataclass(frozen=True, slots=True)
class BudgetOptions:
    """What a pipeline may cost, and where the choice goes."""

    latency_ms: Annotated[float | None, Flag("Longest time that one image may take, by itself.", least=0)] = (
        None
    )
    memory_mb: Annotated[
        float | None, Flag("Most memory that the fit may take. Default: what the machine has free.", least=1)
    ] = None
    fit_seconds: Annotated[float | None, Flag("Longest time that the fit may take.", least=0)] = None
    latency_ratio: Annotated[
        float | None,
        Flag("Longest time that one image may take, in times of what the default takes: 2.", least=0),
    ] = None
    pixels: Annotated[int | None, Flag("Most pixels that the network's input may have.", least=256)] = None
    smallest_flaw_px: Annotated[
        float | None,
        Flag(
            "Side of the smallest flaw to find, in pixels of the images: chooses the quickest size that finds it.",
            least=2,
        ),
    ] = None
    search: Annotated[
        bool,
        Flag(
            "Search networks, layers, sizes, methods and their settings, by painted flaws alone.",
            ("--search",),
        ),
    ] = False
    search_seconds: Annotated[float, Flag("With --search: it ends by then, with what it knows.", least=1)] = (
        600.0
    )
    with_defects: Annotated[
        bool,
        Flag(
            "Ask held-out folds whether to learn from the labelled defects in train/<kind>, and offer it only if so.",
            ("--with-defects",),
        ),
    ] = False
    backbones: Annotated[
        str | None,
        Flag("With --search: networks, comma separated, or ONNX files. Default: all that are installed."),
    ] = None
    config_file: Config = None
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
    seed: Annotated[
        int, Flag("Seed of the draw that decides which images are compared with each other.", least=0)
    ] = 0


@dataclass(frozen=True, slots=True)
class CompareOptions:
    """Two runs of one category."""

    first: Annotated[Path, Flag("One run folder.", ("--run-dir-a",))]
    second: Annotated[Path, Flag("Another, of the same category.", ("--run-dir-b",))]
    output_dir: Annotated[Path | None, Flag("Where it goes. Default: comparisons/<a>-<b>.")] = None


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """Where the demo goes, and what looks at its pictures."""

    output_dir: Annotated[
        Path, Flag("Where everything goes. The runs of an earlier demo there are replaced, and nothing else.")
    ] = Path("kizu-demo")
    backbone: Backbone = None
    seed: Annotated[int, Flag("All randomness comes from it.", least=0)] = 0
