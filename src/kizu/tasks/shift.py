"""A shifted copy of a data set."""

from dataclasses import dataclass
from pathlib import Path

from kizu.core.errors import ConfigError, OutputError
from kizu.core.work import Work
from kizu.data.manifest import Manifest
from kizu.data.scan import DataConfig
from kizu.data.sheet import shift_sheet
from kizu.data.shifted import ShiftedSet, write_shifted
from kizu.data.shifts.applied import Plan
from kizu.imaging.codec import encode_png
from kizu.tasks.data import data_config, scan_all, scan_told
from kizu.tasks.options import CategoriesOptions, DataOptions
from kizu.tasks.set_options import ShiftOptions


@dataclass(frozen=True, slots=True)
class WrittenShift:
    """One category."""

    shifted: ShiftedSet
    sheet: Path
    """Pictures clean and shifted, side by side."""

    def told(self) -> str:
        """One line for a person."""
        rows = self.shifted.rows
        text = f"{self.shifted.folder}: {len(rows) - len(self.shifted.broken)} of {len(rows)} pictures"
        if self.shifted.unmoved:
            text += f"; {len(self.shifted.unmoved)} not moved, for their flaw would have left the picture"
        return text


def shift_data(data: DataOptions, options: ShiftOptions, work: Work) -> list[WrittenShift]:
    """Write each category of a data set, shifted, into the output folder, with a contact sheet beside it.

    Raises as `write_shifted`, and `OutputError` for an output folder inside of the data set.
    """
    plan = Plan(options.shift, options.severity, options.seed)
    return [_write(manifest, plan, options.output, work) for manifest in _scan(data, work)]


def _scan(data: DataOptions, work: Work) -> list[Manifest]:
    if data.category is not None and "," in data.category:
        return scan_all(data.category, CategoriesOptions(data.root, data.layout), work, flag="--category")
    config: DataConfig = data_config(data)
    return [scan_told(config, work)]


def _write(manifest: Manifest, plan: Plan, output: Path, work: Work) -> WrittenShift:
    folder = output / manifest.category
    if folder.resolve().is_relative_to(manifest.root.resolve()):
        raise OutputError(
            f"{folder} would lie in the data set, and be taken for a part of it",
            hint="choose another --output",
        )
    if not manifest.samples:
        raise ConfigError(f"{manifest.category} has no pictures")
    found = write_shifted(manifest.with_hashes(work), plan, folder, work)
    work.note(*(f"{name} is left out: {why}" for name, why in found.broken.items()))
    sheet = output / f"{manifest.category}.png"
    encode_png(sheet, shift_sheet(manifest, found.manifest()))
    return WrittenShift(found, sheet)
