"""Two runs side by side."""

from dataclasses import dataclass
from pathlib import Path

from kizu.bundles.store import ensure_outside
from kizu.core.locks import locked
from kizu.core.parts import sweep_file_parts
from kizu.protocol.compare import RunComparison, compare_runs
from kizu.report.comparison import write_comparison
from kizu.runs.folder import open_run
from kizu.tasks.lab_options import CompareOptions


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs, and where it is written."""

    found: RunComparison
    output_dir: Path

    @property
    def table(self) -> str:
        """The table, as it was written."""
        return (self.output_dir / "comparison_table.md").read_text(encoding="utf-8").rstrip()


def compare(options: CompareOptions) -> Compared:
    """Metrics, what differs by more than chance, and pictures where both were predicted."""
    found = compare_runs(open_run(options.first), open_run(options.second))
    output_dir = options.output_dir or Path("comparisons") / "-".join(found.names)
    ensure_outside(output_dir)
    with locked(output_dir):
        for pictures in ("comparison_samples", "comparison_grids"):
            sweep_file_parts(output_dir / pictures, deep=True)
        write_comparison(output_dir, found)
    return Compared(found, output_dir)
