"""Options of `kizu study`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from kizu.tasks.options import Flag


@dataclass(frozen=True, slots=True)
class StudyOptions:
    """Which study, on which pictures, where to."""

    study: Annotated[Path, Flag("The study's YAML file.", is_argument=True)]
    output: Annotated[Path, Flag("Folder of the study: shifted pictures, splits, trials, tables.")]
    data_root: Annotated[
        Path | None,
        Flag("What the roots in the file are relative to. Default: the file's folder.", ("--data-root",)),
    ] = None
    quick: Annotated[
        bool, Flag("A rehearsal: two categories, one seed, one severity, few pictures.", ("--quick",))
    ] = False


@dataclass(frozen=True, slots=True)
class StudyReportOptions:
    """Of which study."""

    folder: Annotated[Path, Flag("The folder that `kizu study run` wrote.", is_argument=True)]
