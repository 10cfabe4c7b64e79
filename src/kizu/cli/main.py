"""The command line: thin commands round the same objects that a notebook uses.

Exit codes: 0 done; 1 NG found, only with --fail-on-ng, or a file that `verify` finds to decide otherwise; 2 the user
can mend it; 3 some pictures could not be inspected; 130 interrupted.
"""

import io
import sys
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
from kizu.cli.flags import with_flags
from kizu.core.environment import FILE_NAME_ERRORS
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
app.command()(with_flags(demo.demo))
app.add_typer(data.app, name="data")
app.command()(with_flags(recommend.recommend))
app.command()(with_flags(train.train))
app.command()(with_flags(evaluate.evaluate))
app.command()(with_flags(design.design))
app.command()(with_flags(design.freeze))
app.command()(with_flags(compare.predict))
app.command()(with_flags(compare.compare))
app.command()(with_flags(inspect.inspect))
app.command()(with_flags(export.export))
app.command()(with_flags(export.verify))
app.command()(with_flags(zero_shot.zero_shot))
app.command()(with_flags(update.update))
app.command()(with_flags(update.rollback))
app.command()(with_flags(update.versions))
app.command()(with_flags(backbones.backbones))
app.command()(with_flags(cache.cache))


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
    for stream in (sys.stdin, sys.stdout):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=FILE_NAME_ERRORS)
    app()
