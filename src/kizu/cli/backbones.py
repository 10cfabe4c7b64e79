"""`kizu backbones` and its sub-commands"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kizu.cli.flags import with_flags
from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.backbone_options import AddOptions, ConvertOptions, FetchOptions
from kizu.tasks.options import CoreOptions, Flag

if TYPE_CHECKING:
    from kizu.backbones.added import AddedSpec
    from kizu.tasks.backbones import Listed

app = typer.Typer(
    help="List the networks whose features can be used, their layers and licences; add others.",
    invoke_without_command=True,
)


@app.callback(invoke_without_command=True)
def backbones(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON on stdout.")] = False,
) -> None:
    """List the networks whose features can be used, their layers and licences; add others."""
    if context.invoked_subcommand is not None:
        return
    from kizu.tasks.backbones import list_backbones, list_fetchable

    listed = list_backbones()
    if as_json:
        say_text(json.dumps([_row(each) for each in listed], indent=2))
        return
    for each in listed:
        _tell(each)
    by_licence: dict[str, list[str]] = {}
    for name, published in list_fetchable().items():
        by_licence.setdefault(published.licence, []).append(name)
    for licence, names in by_licence.items():
        say(f"To be had with kizu backbones fetch NAME, licence {licence}: {', '.join(names)}")
    say(
        "Weights of your own and any ONNX file with named feature outputs: kizu backbones add FILE --as NAME",
        "An ONNX file works without a name too: --backbone path/to/network.onnx",
    )


@app.command()
@with_flags
def add(options: AddOptions, using: CoreOptions, shown: Shown) -> None:
    """Add weights or an ONNX file under a name, after running the network once.

    Nothing in the file is run. A state dict is drawn as the network that its tensors make; other tensors are refused,
    never passed over. It is kept in your data folder (KIZU_BACKBONES moves it).
    """
    from kizu.tasks.backbones import add

    with start_work(shown, using) as work:
        _tell_added(add(options, work))


@app.command()
@with_flags
def fetch(options: FetchOptions, using: CoreOptions, shown: Shown) -> None:
    """Download published weights, check their SHA-256, and add them; run again, it goes on where it stopped."""
    from kizu.tasks.backbones import fetch

    with start_work(shown, using) as work:
        _tell_added(fetch(options, work))


@app.command()
@with_flags
def convert(options: ConvertOptions, using: CoreOptions, shown: Shown) -> None:
    """Write a model of timm as an ONNX file, checked against torch (needs the extra tune; the file does not)."""
    from kizu.tasks.backbones import convert

    with start_work(shown, using) as work:
        converted = convert(options, work)
    say(
        f"agrees with torch to {converted.worst:.1e} of the largest value; licence {converted.licence}",
        err=True,
    )
    say("layers " + "  ".join(f"{x.name} (1/{x.stride}, {x.dim})" for x in converted.layers), err=True)
    say(f"give it a name with kizu backbones add {converted.path} --as NAME", err=True)
    say(str(converted.path))


@app.command()
@with_flags
def remove(name: Annotated[str, Flag("A backbone that was added.", is_argument=True)], shown: Shown) -> None:
    """Remove a backbone that was added. Models trained with it hold their own copy and go on working."""
    from kizu.backbones.added import remove_added

    with start_work(shown):
        remove_added(name)
    say(f"removed {name}", err=True)


def _tell_added(added: "AddedSpec") -> None:
    say(f"licence {added.licence}, weights of SHA-256 {added.weights_sha256}", err=True)
    say("layers " + "  ".join(f"{x.name} (1/{x.stride}, {x.dim})" for x in added.layers), err=True)
    say(f"use it with --backbone {added.name}", err=True)
    say(added.name)


def _tell(listed: "Listed") -> None:
    say(f"{listed.name}: {listed.summary}")
    if listed.spec is None:
        say(f"    {listed.missing}")
        return
    say(f"    licence {listed.spec.licence}, from {listed.spec.source}")
    say("    " + "  ".join(f"{x.name} (1/{x.stride}, {x.dim})" for x in listed.spec.layers))


def _row(listed: "Listed") -> dict[str, Any]:
    row: dict[str, Any] = {"name": listed.name, "summary": listed.summary}
    if listed.spec is None:
        return row | {"missing": listed.missing}
    return row | {
        "licence": listed.spec.licence,
        "source": listed.spec.source,
        "weights_sha256": listed.spec.weights_sha256,
        "layers": [{"name": x.name, "stride": x.stride, "dim": x.dim} for x in listed.spec.layers],
    }
