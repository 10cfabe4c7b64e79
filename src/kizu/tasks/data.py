"""Data sets as options name them."""

from dataclasses import replace
from pathlib import Path

from kizu.core.lists import comma_separated
from kizu.core.work import Work
from kizu.data.layouts.guess import guess_layout
from kizu.data.manifest import Manifest
from kizu.data.scan import DataConfig, scan_data
from kizu.tasks.options import CategoriesOptions, DataOptions


def with_layout(options: DataOptions, work: Work) -> DataOptions:
    """The same with the layout that the folder has, where none was given; told where it is not MVTec AD's."""
    if options.layout is not None or options.root is None:
        return options
    guess = guess_layout(options.root.expanduser(), options.category)
    if guess is None or guess.layout == DataConfig().layout:
        return options
    work.note(f"layout: {guess.layout} (found {guess.found}); --layout says otherwise")
    return replace(options, layout=guess.layout)


def data_config(options: DataOptions) -> DataConfig:
    """As `config.yaml` has it; what was not given is the default."""
    return DataConfig(
        layout=options.layout or DataConfig().layout, root=options.root, category=options.category
    )


def scan_told(data: DataConfig, work: Work) -> Manifest:
    """The manifest of the configured data set, after telling what was passed over."""
    manifest = scan_data(data)
    work.note(*manifest.notes)
    return manifest


def scan_all(
    categories: str, options: CategoriesOptions, work: Work = Work(), *, flag: str = "--categories"
) -> list[Manifest]:
    """The manifests of comma separated categories, which `flag` gave: names below the root, or folders."""
    found = []
    for name in comma_separated(categories, where=flag):
        is_folder = options.root is None and Path(name).is_dir()
        data = DataOptions(
            root=Path(name) if is_folder else options.root,
            category=None if is_folder else name,
            layout=options.layout,
        )
        found.append(scan_told(data_config(with_layout(data, work)), work))
    return found
