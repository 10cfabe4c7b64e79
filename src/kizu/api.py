"""For notebooks and programs: fit, inspect, look, measure.

inspector = kizu.fit("pictures/")
found = inspector.inspect("new.png")
found.label, found.score, found.map
"""

from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.work import Work
from kizu.inspection.inspector import Inspector
from kizu.lab.evaluate import Evaluation
from kizu.lab.evaluate import evaluate as measure
from kizu.tasks.data import data_config, scan_told, with_layout
from kizu.tasks.fit import Picture, fit
from kizu.tasks.options import DataOptions

__all__ = ["Picture", "evaluate", "fit"]


def evaluate(
    inspector: Inspector, folder: Path | str, *, category: str | None = None, work: Work = Work()
) -> Evaluation:
    """Measure an inspector on the labelled test pictures of a folder, with the thresholds that it carries.

    The layout is guessed as `kizu train` does. Which pictures the inspector was fitted on is not known here: keep them
    out of the test split. Raises `DataError` where there is no test picture.
    """
    data = with_layout(DataOptions(root=Path(folder), category=category), work)
    samples = scan_told(data_config(data), work).test()
    if not samples:
        raise DataError(
            f"{folder} has no test picture", hint="those that measure lie in test/good and test/<kind>"
        )
    return measure(inspector.bundle, samples, work=work)
