"""What a command says: every line is one line, whatever files are called, and a print that fails is no verdict."""

import codecs
import errno
import io
import os
import select
import sys
from typing import TextIO

from kizu.core.errors import OutputError
from kizu.core.text import one_line

_NAMES = "kizu names"
"""How a stream writes what its encoding cannot: bytes of a name that is no text as they are, else with backslashes."""
_SURROGATES = range(0xDC80, 0xDD00)


class PrintError(OutputError):
    """What was said did not arrive."""

    def __init__(self, error: OSError | ValueError) -> None:
        told = error.strerror if isinstance(error, OSError) else str(error)
        super().__init__(f"cannot print: {told}", hint="what was written to files is whole")
        self.is_closed = isinstance(error, OSError) and error.errno in (errno.EPIPE, errno.EINVAL)
        """Whoever read the output has gone, as `head` does."""


def prepare_streams() -> None:
    """Let stdout take any name, in whatever encoding it has."""
    codecs.register_error(_NAMES, _encode_name)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=_NAMES)


def say(*lines: str, err: bool = False) -> None:
    """Print each as one line: on stdout, data; with `err` on stderr, facts. Raises `PrintError` for stdout only."""
    say_text("\n".join(map(one_line, lines)), err=err)


def say_text(text: str, *, err: bool = False) -> None:
    """Print lines that are made already: JSON, or a table. Raises as `say`."""
    stream = sys.stderr if err else sys.stdout
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError) as error:  # ValueError: the stream is closed
        if err:
            return  # nobody is left to be told
        _give_up(stream)
        raise PrintError(error) from error


def has_no_reader() -> bool:
    """Whether stdout is a pipe that nobody reads any more; False where the system does not tell."""
    if not hasattr(select, "poll"):
        return False
    asked = select.poll()
    asked.register(1, select.POLLERR)
    return any(event & select.POLLERR for _, event in asked.poll(0))


def _give_up(stream: TextIO) -> None:
    """Lead the stream to nowhere: what it holds would fail again when the process ends, and change its exit code."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
    except (OSError, ValueError):
        return


def _encode_name(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    code = ord(error.object[error.start])
    if code in _SURROGATES:
        return bytes([code - 0xDC00]), error.start + 1
    return error.object[error.start].encode("ascii", "backslashreplace"), error.start + 1
