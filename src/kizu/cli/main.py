"""The command line: thin commands round the same objects that a notebook uses.

`exits` has the exit codes.
"""

import sys
import traceback
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
    exits,
    export,
    index,
    inspect,
    presets,
    recommend,
    serve,
    study,
    submit,
    threshold,
    train,
    update,
    zero_shot,
)
from kizu.cli.flags import with_flags
from kizu.cli.printing import PrintError, has_no_reader, prepare_streams, say, say_text
from kizu.core.errors import KizuError


class _Edge(TyperGroup):
    """Where errors become one message, one hint and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except PrintError as error:
            if error.is_closed:
                raise typer.Exit(exits.PIPE_CLOSED) from error
            raise _told(error) from error
        except KizuError as error:
            raise _told(error) from error
        except KeyboardInterrupt as error:
            say("", "interrupted; what was written is whole, run the same command to go on", err=True)
            raise typer.Exit(exits.INTERRUPTED) from error
        except MemoryError as error:
            say("error: there is not enough memory", "hint: fewer or smaller images at a time", err=True)
            raise typer.Exit(exits.USER_ERROR) from error
        except Exception as error:  # whatever nobody thought of
            if isinstance(error, typer.Abort) or hasattr(error, "exit_code"):
                raise  # the command line's own way to end
            if isinstance(error, BrokenPipeError) and has_no_reader():  # of --help, which typer prints itself
                raise typer.Exit(exits.PIPE_CLOSED) from error
            say_text(traceback.format_exc(), err=True)
            say(f"error: this is a bug in Kizu: {type(error).__name__}: {error}", err=True)
            say("hint: report it with the lines above; nothing is said about any image", err=True)
            raise typer.Exit(exits.BUG) from error


def _told(error: KizuError) -> typer.Exit:
    """Say the error and its hint, a line each, and how to end."""
    say(f"error: {error.message}", *([] if error.hint is None else [f"hint: {error.hint}"]), err=True)
    return typer.Exit(exits.USER_ERROR)


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
app.add_typer(submit.app, name="submit")
app.command()(with_flags(recommend.recommend))
app.command()(with_flags(presets.presets))
app.command()(with_flags(train.train))
app.command()(with_flags(evaluate.evaluate))
app.command()(with_flags(design.design))
app.command()(with_flags(design.freeze))
app.command()(with_flags(compare.predict))
app.command()(with_flags(compare.compare))
app.command()(with_flags(inspect.inspect))
app.command()(with_flags(index.index))
app.command()(with_flags(serve.serve))
app.add_typer(serve.app, name="serve-key")
app.command()(with_flags(export.export))
app.command()(with_flags(export.verify))
app.command()(with_flags(zero_shot.zero_shot))
app.command()(with_flags(threshold.threshold))
app.command()(with_flags(threshold.redecide))
app.command()(with_flags(update.update))
app.command()(with_flags(update.rollback))
app.command()(with_flags(update.versions))
app.add_typer(study.app, name="study")
app.add_typer(backbones.app, name="backbones")
app.command()(with_flags(cache.cache))


@app.callback(invoke_without_command=True)
def _main(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version and stop.", is_eager=True),
) -> None:
    if version:
        from kizu import __version__

        say(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        say_text(context.get_help())


def run() -> None:
    """The entry point."""
    prepare_streams()
    try:
        app()
    except SystemExit as ended:
        if isinstance(
            ended.__context__, BrokenPipeError
        ):  # the help, which the library prints, and calls that 1
            sys.exit(exits.PIPE_CLOSED)
        raise
