"""A form that is in memory already, taken apart there: no file of a request ever touches the disk."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from kizu.service.problems import ProblemError

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

FORM = "multipart/form-data"
_MAX_FIELDS, _MAX_FIELD_BYTES, _MAX_HEADERS = 32, 4096, 32


class Part(NamedTuple):
    """One field of a form."""

    name: str
    file_name: str | None
    """None: it is no file."""
    data: bytes


@dataclass
class _Reader:
    """What the parser tells, put together."""

    max_files: int
    parts: list[Part] = field(default_factory=list)
    is_ended: bool = False
    _files: int = 0
    _header: bytearray = field(default_factory=bytearray)
    _value: bytearray = field(default_factory=bytearray)
    _headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    _data: bytearray = field(default_factory=bytearray)

    def on_part_begin(self) -> None:
        self._headers, self._data = [], bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers.append((bytes(self._header).lower(), bytes(self._value)))
        self._header, self._value = bytearray(), bytearray()
        if len(self._headers) > _MAX_HEADERS:
            raise _broken("a part has too many headers")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def on_part_end(self) -> None:
        told = next((value for name, value in self._headers if name == b"content-disposition"), b"")
        _, options = parse_options_header(told)
        if b"name" not in options:
            raise _broken("a part has no name")
        file_name = options.get(b"filename")
        self._files += file_name is not None
        if self._files > self.max_files:
            raise ProblemError("too-large", f"more than {self.max_files} files", "send fewer at a time")
        if file_name is None and len(self._data) > _MAX_FIELD_BYTES:
            raise _broken(f"a field of more than {_MAX_FIELD_BYTES} bytes that is no file")
        name = options[b"name"].decode("utf-8", "replace")
        self.parts.append(
            Part(name, None if file_name is None else file_name.decode("utf-8", "replace"), bytes(self._data))
        )
        if len(self.parts) - self._files > _MAX_FIELDS:
            raise _broken(f"more than {_MAX_FIELDS} fields")

    def on_end(self) -> None:
        self.is_ended = True


def parse_form(content_type: str, data: bytes, *, max_files: int) -> list[Part]:
    """The parts of a form, in order. Raises `ProblemError` for one that is broken, cut off or has too much in it."""
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise _broken("its type names no boundary")
    reader = _Reader(max_files)
    callbacks: MultipartCallbacks = {
        "on_part_begin": reader.on_part_begin,
        "on_part_data": reader.on_part_data,
        "on_part_end": reader.on_part_end,
        "on_header_field": reader.on_header_field,
        "on_header_value": reader.on_header_value,
        "on_header_end": reader.on_header_end,
        "on_end": reader.on_end,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(data)
        parser.finalize()
    except (FormParserError, UnicodeError, ValueError) as error:
        raise _broken(str(error) or type(error).__name__) from error
    if not reader.is_ended:
        raise _broken("its end is missing")
    return reader.parts


def _broken(why: str) -> ProblemError:
    return ProblemError("bad-request", f"the form cannot be read: {why}", f"send it as {FORM}, whole")
