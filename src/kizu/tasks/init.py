"""A config to begin with: what a folder holds, and every setting with a word on what it is for."""

from dataclasses import dataclass
from pathlib import Path

from kizu.core.errors import OutputError
from kizu.core.files import write_text
from kizu.core.locks import locked
from kizu.core.work import Work
from kizu.lab.train import RunConfig
from kizu.tasks.data import data_config, scan_told, with_layout
from kizu.tasks.options import DataOptions
from kizu.tasks.set_options import InitOptions

COMMENTS = {
    "detector": "the method and its settings; `kizu recommend` tries all of them on these pictures",
    "embedding": "the network whose features are compared, and which of its layers; null: what it proposes",
    "placement": "how pictures are brought to the network's size",
    "calibration": "how thresholds are set, and what is promised of good parts",
    "data": "which pictures; `group` says which of them show one part and stay on one side of a cut",
    "seed": "all randomness comes from it",
}


@dataclass(frozen=True, slots=True)
class WrittenConfig:
    """Where it lies, and what was found."""

    path: Path
    told: str


def write_config(options: InitOptions, work: Work) -> WrittenConfig:
    """Write the defaults with the folder's data and a comment on each part.

    Raises `DataError` for a folder that nothing can be learned from, `OutputError` for a file that is there already.
    """
    if options.output.exists() and not options.overwrite:
        raise OutputError(f"{options.output} is there already", hint="give --overwrite, or another --output")
    data = DataOptions(options.folder.resolve(), options.category, options.layout)
    found = data_config(with_layout(data, work))
    manifest = scan_told(found, work)
    good, tests = len(manifest.train_good()), len(manifest.test())
    told = f"{manifest.dataset} / {manifest.category}: {good} good pictures to learn from, {tests} to test"
    lines = [f"# {told}", "# Whatever is left out is the default; an unknown key is refused.", ""]
    for line in RunConfig(data=found).to_yaml().splitlines():
        key = line.split(":")[0]
        if key in COMMENTS:
            lines += ["", f"# {COMMENTS[key]}"]
        lines.append(line)
    with locked(options.output.parent):
        write_text(options.output, "\n".join(lines) + "\n")
    return WrittenConfig(options.output, told)
