"""Look a data set over before anything is fitted."""

from kizu.core.locks import locked
from kizu.core.work import Work
from kizu.data.check import CheckReport, check, preview_sheet
from kizu.data.scan import scan_data
from kizu.imaging.codec import encode_png
from kizu.tasks.data import data_config
from kizu.tasks.lab_options import CheckOptions
from kizu.tasks.options import DataOptions


def check_data(data: DataOptions, options: CheckOptions, work: Work) -> CheckReport:
    """Count, measure and look for problems; write the contact sheet."""
    manifest = scan_data(data_config(data))
    report = check(manifest, work)
    sheet = preview_sheet(manifest)
    with locked(options.preview.parent):
        encode_png(options.preview, sheet)
    return report
