"""Options of the service. None: a variable, the file or the default says it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from kizu.tasks.options import Flag


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What is served, where, and to whom."""

    runs: Annotated[
        list[Path] | None,
        Flag("Run folders, files that `kizu export` wrote, or folders of them.", is_argument=True),
    ] = None
    config: Annotated[
        Path | None, Flag("YAML with any of the settings; flags win over it.", ("--config",), is_file=True)
    ] = None
    host: Annotated[str | None, Flag("Address. Default: 127.0.0.1, which only this machine reaches.")] = None
    port: Annotated[int | None, Flag("Default: 8000. 0: any that is free.", least=0)] = None
    keys_file: Annotated[
        Path | None, Flag("Who may call: what `kizu serve-key add` writes.", ("--keys-file",), is_file=True)
    ] = None
    no_auth: Annotated[
        bool, Flag("Everybody may call, on any address. Say so on purpose.", ("--no-auth",))
    ] = False
    queue_length: Annotated[
        int | None, Flag("Requests that may wait; beyond it the answer is 503. Default: 32.", least=0)
    ] = None
    max_body_mb: Annotated[float | None, Flag("Largest picture file. Default: 32.", ("--max-body-mb",))] = (
        None
    )
    roi: Annotated[
        Path | None, Flag("Where flaws count: JSON polygons, or a picture; the map then decides.")
    ] = None
    ignore: Annotated[Path | None, Flag("Where flaws do not count: JSON polygons, or a picture.")] = None


class KeyRole(StrEnum):
    """How far a key reaches."""

    DETECT = "detect"
    ADMIN = "admin"


KeysPath = Annotated[
    Path, Flag("The file of keys, which holds their hashes.", ("--keys-file",), is_file=True)
]
