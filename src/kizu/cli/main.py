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
    doctor,
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
    tune,
    update,
    zero_shot,
)
from kizu.cli.flags import examples, with_flags
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
EXAMPLES = {
    demo.demo: ("kizu demo",),
    doctor.doctor: ("kizu doctor",),
    doctor.init: ("kizu init pictures/", "kizu train --config kizu.yaml"),
    recommend.recommend: (
        "kizu recommend --data-root pictures/ -o config.yaml",
        "kizu recommend --search ...",
    ),
    presets.presets: ("kizu presets",),
    train.train: (
        "kizu train --data-root pictures/",
        "kizu train --data-root mvtec --category bottle --method padim",
    ),
    tune.tune: ("kizu tune --data-root mvtec --category bottle", "kizu train --backbone runs/tune/ID ..."),
    evaluate.evaluate: ("kizu evaluate --model RUN", "kizu evaluate --frozen FILE --categories a,b"),
    design.design: ("kizu design --data-root mvtec --categories hazelnut",),
    design.freeze: ("kizu freeze --design runs/design.json",),
    compare.predict: ("kizu predict --model RUN",),
    compare.compare: ("kizu compare --run-dir-a RUN --run-dir-b RUN",),
    inspect.inspect: (
        "kizu inspect --model RUN new/",
        "kizu inspect --model model.onnx drop/ --watch",
        "kizu inspect --model runs/ mixed/ --output-dir results/",
    ),
    index.index: ("kizu index RUN",),
    serve.serve: ("kizu serve model.onnx",),
    export.export: ("kizu export --model RUN",),
    export.verify: ("kizu verify --run-dir RUN",),
    zero_shot.zero_shot: ("kizu zero-shot new/",),
    threshold.threshold: ("kizu threshold RUN", "kizu threshold RUN --value 27.5 --reason 'fewer escapes'"),
    threshold.redecide: ("kizu redecide RESULTS --threshold 27.5",),
    update.update: ("kizu update --model RUN --images new/ --reason 'second supplier'",),
    update.rollback: ("kizu rollback --model RUN",),
    update.versions: ("kizu versions --model RUN",),
    cache.cache: ("kizu cache",),
}
"""How each command is called, the shortest first."""
PANELS = {
    "Begin": (demo.demo, doctor.doctor, doctor.init, recommend.recommend),
    "Learn and measure": (
        presets.presets, train.train, tune.tune, evaluate.evaluate,
        compare.predict, compare.compare, threshold.threshold,
        design.design, design.freeze,
    ),
    "On the line": (
        inspect.inspect, threshold.redecide, index.index, serve.serve, export.export, export.verify,
        zero_shot.zero_shot,
    ),
    "Keep": (update.update, update.rollback, update.versions, cache.cache),
}  # fmt: skip
GROUPS = (
    (data.app, "data", "Begin"), (submit.app, "submit", "Learn and measure"),
    (study.app, "study", "Learn and measure"), (serve.app, "serve-key", "On the line"),
    (backbones.app, "backbones", "Keep"),
)  # fmt: skip
for _panel, _commands in PANELS.items():
    for _command in _commands:
        app.command(epilog=examples(*EXAMPLES[_command]), rich_help_panel=_panel)(with_flags(_command))
for _app, _name, _panel in GROUPS:
    app.add_typer(_app, name=_name, rich_help_panel=_panel)


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
