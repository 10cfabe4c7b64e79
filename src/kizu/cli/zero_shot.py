"""`kizu zero-shot`"""

from pathlib import Path
from typing import Annotated

import typer

from kizu.cli.options import (
    Device,
    DeviceOption,
    Runtime,
    RuntimeOption,
    Threads,
    Verbose,
    parse_size,
    set_values,
    start_logging,
)
from kizu.cli.progress import working

SHOWN = 10


def zero_shot(
    folder: Annotated[Path, typer.Argument(help="Folder of images, searched with its sub-folders.")],
    output_dir: Annotated[Path, typer.Option(help="Where ranking.jsonl and overlays/ go.")] = Path(
        "zero-shot"
    ),
    backbone: Annotated[
        str | None, typer.Option(help="A name from `kizu backbones`, or an ONNX file.")
    ] = None,
    image_size: Annotated[
        str | None, typer.Option(help="Network input: 256, or height x width: 256x384.")
    ] = None,
    overlays: Annotated[int, typer.Option(help="Pictures of so many, the least usual.", min=0)] = 20,
    seed: Annotated[int, typer.Option(help="Draws which images judge each other.", min=0)] = 0,
    device: DeviceOption = Device.CPU,
    runtime: RuntimeOption = Runtime.ONNXRUNTIME,
    threads: Threads = None,
    verbose: Verbose = False,
) -> None:
    """Rank a folder of pictures without one good image: which are unlike the others, and where.

    The pictures judge each other, so it needs a batch, most of it good. No threshold is set and nothing is promised.
    """
    start_logging(verbose)
    from kizu.data.listing import list_images
    from kizu.lab.zero_shot import ZeroShotConfig, rank_images, write_ranking

    config = ZeroShotConfig.parse(
        {
            "embedding": set_values(backbone=backbone),
            "placement": set_values(image_size=parse_size(image_size) if image_size else None),
            "seed": seed,
        },
        where="options",
    )
    broken: dict[str, str] = {}
    with working(runtime, device, threads) as work:
        ranked = rank_images(
            list_images(folder),
            config,
            on_broken=broken,
            work=work,
        )
    write_ranking(output_dir, ranked, broken, config, overlays=overlays)
    for number, item in enumerate(ranked[:SHOWN], start=1):
        typer.echo(f"{number:4}  {item.score:.4g}  {item.sample.path}")
    typer.echo(f"wrote {output_dir}: {len(ranked)} images ranked, {len(broken)} unreadable", err=True)
