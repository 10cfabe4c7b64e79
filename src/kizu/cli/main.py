"""The command line: thin commands round the same objects that a notebook uses.

Exit codes: 0 done; 1 NG found, only when asked with --fail-on-ng; 2 the user can mend it; 130 interrupted.
"""

from typing import Any

import typer
from typer.core import TyperGroup

from kizu.cli import (
    backbones,
    cache,
    compare,
    data,
    demo,
    design,
    evaluate,
    export,
    inspect,
    recommend,
    train,
    update,
    zero_shot,
)
from kizu.core.errors import KizuError

EXIT_USER_ERROR = 2
EXIT_INTERRUPTED = 130


class _Edge(TyperGroup):
    """Where errors become one message, one hint and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KizuError as error:
            typer.echo(f"error: {error}", err=True)
            raise typer.Exit(EXIT_USER_ERROR) from error
        except KeyboardInterrupt as error:
            typer.echo("\ninterrupted; what was written is whole, run the same command to go on", err=True)
            raise typer.Exit(EXIT_INTERRUPTED) from error


app = typer.Typer(
    name="kizu",
    cls=_Edge,
    help="Learn what a good part looks like from pictures of good parts only; say OK or NG, and show the flaw.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo.demo)
app.add_typer(data.app, name="data")
app.command()(recommend.recommend)
app.command()(train.train)
app.command()(evaluate.evaluate)
app.command()(design.design)
app.command()(design.freeze)
app.command()(compare.predict)
app.command()(compare.compare)
app.command()(inspect.inspect)
app.command()(export.export)
app.command()(export.verify)
app.command()(zero_shot.zero_shot)
app.command()(update.update)
app.command()(update.rollback)
app.command()(update.versions)
app.command()(backbones.backbones)
app.command()(cache.cache)


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        from kizu import __version__

        typer.echo(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run() -> None:
    """The entry point."""
    app()
