"""From what a client sends to pictures and options: bounded before it is read, closed after."""

import asyncio
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

from pydantic import Field
from starlette.requests import ClientDisconnect, Request

from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.service.forms import FORM, parse_form
from kizu.service.problems import ProblemError

MapFormat = Literal["png", "png16", "npy"]
_DRAIN_S = 1.0
_LONGEST = 2000


class DetectOptions(Config):
    """What may be asked for."""

    class_name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    """Which product it is. Needed where several are served and none is found by likeness."""
    threshold: float | None = None
    """A raw score in place of the model's threshold, for this picture."""
    return_map: bool = False
    map_format: MapFormat = "png"
    """png: heat to lay over the picture. png16: 16-bit numbers, with `map_scale`. npy: float32 as they are."""
    return_regions: bool = True


class Sent(NamedTuple):
    """A picture as it came."""

    name: str | None
    data: bytes


class Body(NamedTuple):
    """A request's pictures and options."""

    pictures: tuple[Sent, ...]
    options: DetectOptions


async def read_body(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """All of it. Raises `ProblemError` for one that is too large or too slow, `ClientDisconnect` for one that ends."""
    limit = f"{max_bytes / 1e6:g} MB are allowed"
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise ProblemError("too-large", f"{int(declared):,} bytes: {limit}", "send a smaller file, or fewer")
    chunks: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise ProblemError("too-large", f"more than {limit}", "send a smaller file, or fewer")
                chunks.append(chunk)
    except TimeoutError as error:
        raise ProblemError(
            "too-slow", f"{size:,} bytes came within {seconds:g} s", "send it again"
        ) from error
    return b"".join(chunks)


async def drain(request: Request, max_bytes: int) -> None:
    """Take in what a refused client is still sending, a little while: one that is cut off sees no answer."""
    size = 0
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    return
    except (TimeoutError, ClientDisconnect, RuntimeError):  # RuntimeError: it was read already
        return


def parse_body(request: Request, data: bytes, *, field: str, max_files: int) -> Body:
    """A form with files in `field` and options beside them, or one picture as it is, with options in the query.

    Raises `ProblemError`.
    """
    content_type = request.headers.get("content-type", "")
    told = content_type.split(";")[0].strip().lower()
    given = list(request.query_params.multi_items())
    pictures: list[Sent] = []
    if told == FORM:
        for part in parse_form(content_type, data, max_files=max_files):
            if part.file_name is None and part.name != field:
                given.append((part.name, part.data.decode("utf-8", "replace")))
            elif part.name == field:
                pictures.append(Sent(part.file_name, part.data))
            else:
                raise ProblemError("bad-request", f"a file in {part.name[:100]!r}", f"send it as {field!r}")
    elif told in ("", "application/octet-stream") or told.startswith("image/"):
        pictures = [Sent(None, data)] if data else []
    else:
        hint = f"send {FORM} with {field}, or the picture as image/png"
        raise ProblemError("no-picture", f"a body of type {told[:100]}", hint)
    if not pictures:
        raise ProblemError("bad-request", "there is no picture in it", f"send it as {field}, or as the body")
    return Body(tuple(pictures), parse_options(given))


def parse_options(given: Iterable[tuple[str, str]]) -> DetectOptions:
    """From the query and the form. Raises `ProblemError` for one that is given twice, unknown or out of range."""
    values: dict[str, str] = {}
    for name, value in given:
        if name in values:
            raise ProblemError("bad-request", f"{name[:100]} is given twice", "give it once")
        values[name] = value
    try:
        return DetectOptions.parse(values, where="options")
    except ConfigError as error:
        hint = "GET /openapi.json lists them"
        raise ProblemError("cannot-be-done", error.message[:_LONGEST], hint) from error
