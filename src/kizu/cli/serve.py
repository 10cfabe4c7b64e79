"""`kizu serve` and `kizu serve-key`"""

import logging
from typing import Annotated

import typer

from kizu.cli.flags import with_flags
from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say
from kizu.tasks.options import Flag, WorkOptions
from kizu.tasks.serve_options import KeyRole, KeysPath, ServeOptions

app = typer.Typer(help="Keys of those who may call `kizu serve`.", no_args_is_help=True)


def serve(options: ServeOptions, using: WorkOptions, shown: Shown) -> None:
    """Answer over HTTP what `kizu inspect` says of a file: POST /detect. Ctrl-C or SIGTERM ends it, in order.

    Every setting is also a variable, KIZU_SERVE_PORT and so on, and a line of the YAML file. Prints its address when it
    answers; logs a line for each request on stderr.
    """
    from kizu.tasks.serve import serve

    with start_work(shown, using) as work:
        logging.getLogger("kizu.service").setLevel(logging.INFO)
        serve(options, work, say)


Name = Annotated[str, Flag("Whose key it is; it stands in the log.", is_argument=True)]


def add(
    name: Name, keys_file: KeysPath, role: Annotated[KeyRole, Flag("How far it reaches.")] = KeyRole.DETECT
) -> None:
    """Make a key, print it this once, and keep its hash."""
    from kizu.tasks.serve import add_key

    say(add_key(name, keys_file, role))


def remove(name: Name, keys_file: KeysPath) -> None:
    """Take a key back; a service that runs notices."""
    from kizu.tasks.serve import remove_key

    remove_key(name, keys_file)
    say(f"removed {name}", err=True)


def list_(keys_file: KeysPath) -> None:
    """Whose keys there are."""
    from kizu.tasks.serve import list_keys

    say(*(f"{name}  {role}  {created_at}" for name, role, created_at in list_keys(keys_file)))


app.command()(with_flags(add))
app.command()(with_flags(remove))
app.command("list")(with_flags(list_))
