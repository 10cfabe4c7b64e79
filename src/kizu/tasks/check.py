"""Look a data set over before anything is fitted."""

from dataclasses import dataclass

from kizu.core.errors import OutputError
from kizu.core.locks import locked
from kizu.core.work import Work
from kizu.data.check import CheckReport, check
from kizu.data.manifest import Manifest
from kizu.data.scan import scan_data
from kizu.data.sheet import preview_sheet
from kizu.imaging.codec import encode_png
from kizu.tasks.data import data_config
from kizu.tasks.lab_options import CheckOptions
from kizu.tasks.options import DataOptions


@dataclass(frozen=True, slots=True)
class Checked:
    """What a data set consists of and suffers from."""

    report: CheckReport
    manifest: Manifest

    def write_sheet(self, options: CheckOptions) -> None:
        """Write the contact sheet. Raises `OutputError`, also where it would lie among the pictures that it shows."""
        preview, root = options.preview, self.manifest.root
        if preview.resolve().is_relative_to(root.resolve()):
            raise OutputError(
                f"{preview} would lie in the data set, and be taken for one of its pictures",
                hint="choose another --preview",
            )
        sheet = preview_sheet(self.manifest)
        with locked(preview.parent):
            encode_png(preview, sheet)


def check_data(data: DataOptions, work: Work) -> Checked:
    """Count, measure and look for problems."""
    manifest = scan_data(data_config(data))
    return Checked(check(manifest, work), manifest)
