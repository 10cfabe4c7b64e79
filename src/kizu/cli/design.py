"""`kizu design` and `kizu freeze`"""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from kizu.cli.options import (
    ConfigFile,
    DataRoot,
    Device,
    DeviceOption,
    Layout,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    start_logging,
)
from kizu.cli.progress import working
from kizu.core.lists import comma_separated

Categories = Annotated[
    str, typer.Option(help="Comma separated: names below --data-root, or folders of categories.")
]
Seeds = Annotated[str, typer.Option(help="Comma separated.")]


def design(
    categories: Categories,
    root: DataRoot = None,
    layout: Layout = None,
    methods: Annotated[str, typer.Option(help="Comma separated.")] = "patchcore,padim,mahalanobis",
    candidates_file: Annotated[
        Path | None,
        typer.Option(
            "--candidates", help="YAML: method -> list of changes, such as {detector: {coreset: 0.1}}."
        ),
    ] = None,
    config_file: ConfigFile = None,
    seeds: Seeds = "0",
    rate: Annotated[float, typer.Option(help="Of good test images that the threshold may reject.")] = 0.01,
    output: Annotated[Path, typer.Option(help="What was chosen, and why.")] = Path("runs/design.json"),
    features_mb: Annotated[
        int, typer.Option(help="Features kept on disk, so that candidates share them.", min=0)
    ] = 4096,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Choose settings on development categories, by their test images. Writes a file for `kizu freeze --design`."""
    start_logging(verbose)
    from kizu.core.files import write_stored
    from kizu.core.registry import look_up
    from kizu.pipeline.config import PipelineConfig
    from kizu.protocol.design import design as choose
    from kizu.protocol.design import known_candidates, read_candidates
    from kizu.report.tables import number, text_table

    known = known_candidates() if candidates_file is None else read_candidates(candidates_file)
    names = comma_separated(methods, where="--methods")
    chosen = {name: look_up(known, name, noun="method") for name in names}
    base = PipelineConfig.read(config_file) if config_file else PipelineConfig()
    with working(runtime, device, threads, features_mb=features_mb) as work:
        found = choose(
            scan_all(categories, root, layout),
            candidates=chosen,
            seeds=parse_seeds(seeds),
            base=base,
            rate=rate,
            work=work,
        )
    write_stored(output, found)
    rows = [
        [
            f"{'*' if row['chosen'] else ' '} {row['method']}",
            json.dumps(row["changes"]) if row["changes"] else "default",
            number(row["image_auroc"]),
            number(row["aupro_030"]),
        ]
        for row in found.origin.evidence
    ]
    typer.echo(text_table(["method", "change", "image AUROC", "AU-PRO@0.30"], rows))
    typer.echo(f"* chosen. Next: kizu freeze --design {output}", err=True)
    typer.echo(str(output))


def freeze(
    design_file: Annotated[
        Path | None, typer.Option("--design", help="What `kizu design` wrote.", dir_okay=False)
    ] = None,
    config_files: Annotated[
        list[Path] | None, typer.Option("--config", help="Chosen by hand: one YAML for each method.")
    ] = None,
    dev: Annotated[
        str | None, typer.Option(help="With --config: the categories that were looked at, as in `design`.")
    ] = None,
    note: Annotated[str | None, typer.Option(help="With --config: where the choices came from.")] = None,
    root: DataRoot = None,
    layout: Layout = None,
    seeds: Seeds = "0,1,2",
    output: Annotated[Path, typer.Option(help="The file to write.")] = Path("assets/fixed_pipeline.json"),
) -> None:
    """Write the one file that `kizu evaluate --frozen` takes: all settings, thresholds, seeds, hashes."""
    from kizu.core.errors import ConfigError
    from kizu.decision.standard import StandardThreshold
    from kizu.pipeline.config import PipelineConfig
    from kizu.protocol.design import read_design
    from kizu.protocol.freeze import DevSet, Origin, write_frozen
    from kizu.protocol.freeze import freeze as make

    if (design_file is None) == (not config_files):
        raise ConfigError("give either --design or --config", hint="see kizu freeze --help")
    thresholds: dict[str, StandardThreshold] = {}
    if design_file is not None:
        chosen = read_design(design_file)
        pipelines, thresholds, origin = chosen.pipelines, chosen.thresholds, chosen.origin
    else:
        if note is None:
            raise ConfigError("choices by hand need --note", hint="say in a sentence where they came from")
        configs = [PipelineConfig.read(path) for path in config_files or []]
        pipelines = {config.detector.kind: config for config in configs}
        if len(pipelines) < len(configs):
            raise ConfigError("two of the configs are of one method", hint="give one for each method")
        hashed = [m.with_hashes() for m in scan_all(dev, root, layout, flag="--dev")] if dev else []
        origin = Origin(
            how=note,
            dev=tuple(
                DevSet(dataset=m.dataset, category=m.category, manifest_sha256=m.content_hash())
                for m in hashed
            ),
        )
    frozen = make(pipelines, origin, thresholds=thresholds, seeds=parse_seeds(seeds))
    write_frozen(frozen, output)
    typer.echo(f"{', '.join(frozen.methods)}; sha256 {frozen.sha256}", err=True)
    typer.echo(str(output))


def scan_all(
    categories: str, root: Path | None, layout: str | None, *, flag: str = "--categories"
) -> list[Any]:
    """The manifests of comma separated categories, which `flag` gave."""
    from kizu.lab.train import DataConfig, scan_data

    found = []
    for name in comma_separated(categories, where=flag):
        is_folder = root is None and Path(name).is_dir()
        data = DataConfig(
            layout=layout or "mvtec_ad",
            root=Path(name) if is_folder else root,
            category=None if is_folder else name,
        )
        found.append(scan_data(data))
    return found


def parse_seeds(text: str) -> tuple[int, ...]:
    """ "0,1,2" """
    from kizu.core.errors import ConfigError

    parts = comma_separated(text, where="--seeds")
    if not all(part.isdecimal() for part in parts):
        raise ConfigError(f"--seeds {text!r} are not whole numbers", hint="give 0,1,2")
    return tuple(int(part) for part in parts)
