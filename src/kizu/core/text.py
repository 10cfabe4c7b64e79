"""Names among words: a file may be called anything, and what is printed must still mean what it says."""

_CONTROLS = (
    *range(0x20),  # among them line feed, carriage return, and the one that begins a terminal's commands
    *range(0x7F, 0xA0),
    0x2028,
    0x2029,
    *range(0x202A, 0x202F),  # turn the direction of what follows
    *range(0x2066, 0x206A),
)
_ESCAPED = {code: chr(code).encode("unicode_escape").decode("ascii") for code in _CONTROLS}
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def one_line(text: str) -> str:
    """The text with what would end its line, or do something to a terminal, as a backslash and letters."""
    return text.translate(_ESCAPED)


def as_cell(text: str) -> str:
    """The text as a cell that no spreadsheet takes for a formula: an apostrophe goes before what one begins with."""
    return f"'{text}" if text.startswith(_FORMULA) else text
