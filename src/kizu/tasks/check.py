"""Look a data set over before anything is fitted."""

from dataclasses import dataclass
from pathlib import Path

from kizu.core.errors import KizuError, OutputError
from kizu.core.locks import locked
from kizu.core.work import Work
from kizu.data.check import CheckReport, check
from kizu.data.evidence import Pair
from kizu.data.manifest import Manifest
from kizu.data.scan import scan_data
from kizu.data.sheet import pair_sheet, preview_sheet
from kizu.imaging.codec import encode_png
from kizu.lab.cut import cut_good
from kizu.pipeline.config import PipelineConfig
from kizu.tasks.data import data_config, with_layout
from kizu.tasks.lab_options import CheckOptions
from kizu.tasks.options import DataOptions

SHOWN = 12
"""Pairs on a sheet."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What a data set consists of and suffers from."""

    report: CheckReport
    manifest: Manifest

    def write_sheets(self, options: CheckOptions) -> list[Path]:
        """Write the contact sheet, and that of siblings on two sides where there are any; which were written.

        Raises `OutputError`, also where one would lie among the pictures that it shows.
        """
        sheets = {options.preview: preview_sheet(self.manifest)}
        pairs, sides = self.parted_siblings()
        if pairs:
            sheets[options.pairs] = pair_sheet(self.manifest, pairs, sides)
        for path, flag in ((options.preview, "--preview"), (options.pairs, "--pairs")):
            if path.resolve().is_relative_to(self.manifest.root.resolve()):
                raise OutputError(
                    f"{path} would lie in the data set, and be taken for one of its pictures",
                    hint=f"choose another {flag}",
                )
        for path, sheet in sheets.items():
            with locked(path.parent):
                encode_png(path, sheet)
        return list(sheets)

    def parted_siblings(self) -> tuple[list[Pair], dict[str, str]]:
        """The closest pairs that show one part on two sides, and the side of each image by id.

        First those in two splits, then those that a cut of the good training images by the default seed would part if
        they were taken for strangers (`--group none`).
        """
        kinship = self.report.kinship
        pairs = list(kinship.across[: SHOWN // 2])
        sides = dict(kinship.splits)
        try:
            cut = cut_good(self.manifest.with_hashes(), PipelineConfig())
        except KizuError:  # too few, or leaking: the report says so
            return pairs, sides
        cut_sides = {s.id: "fit" for s in cut.fit} | {s.id: "calibration" for s in cut.calibration}
        parted = kinship.between(cut_sides)
        pairs += parted[: SHOWN - len(pairs)]
        named = {name for pair in parted for name in (pair.first, pair.second)}
        sides |= {name: side for name, side in cut_sides.items() if name in named}
        return pairs, sides


def check_data(data: DataOptions, work: Work) -> Checked:
    """Count, measure and look for problems."""
    manifest = scan_data(data_config(with_layout(data, work)))
    return Checked(check(manifest, work), manifest)
