"""What a run's product looks like, kept beside its models: a shelf of them then knows whose picture it is given."""

from dataclasses import dataclass
from pathlib import Path

from kizu.bundles.references import References, write_references
from kizu.core.errors import DataError, KizuError, MissingExtraError
from kizu.core.work import Work
from kizu.lab.references import make_references
from kizu.runs.folder import RunFolder, open_run


@dataclass(frozen=True, slots=True)
class Indexed:
    """What was written, and where."""

    path: Path
    references: References


def index(run_dir: Path, work: Work) -> Indexed:
    """Make or replace the run's `retrieval.json`. Raises as `make_references`, `OutputError` while another command
    changes the run."""
    folder = open_run(run_dir)
    with folder.locked():
        references = make_references(folder, work)
        write_references(folder.retrieval, references)
    return Indexed(folder.retrieval, references)


def index_trained(folder: RunFolder, work: Work) -> None:
    """The same of a run that is being made; where the network for it is not installed, or pictures of one part are all
    there is, that is told, and the run goes without."""
    try:
        write_references(folder.retrieval, make_references(folder, work))
    except (MissingExtraError, DataError) as error:
        work.note(f"pictures will not be told to be of this product: {error.message}")


def refresh_index(folder: RunFolder, work: Work) -> None:
    """After an update: as it was made before, where it was, with the new pictures."""
    if not folder.retrieval.exists():
        return
    try:
        index(folder.path, work)
    except KizuError as error:
        work.note(f"{folder.retrieval} knows nothing of the new pictures: {error.message}")
