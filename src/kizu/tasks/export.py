"""A run as a file for the line, and the proof that files decide as the run does."""

from dataclasses import dataclass
from pathlib import Path

from kizu.core.work import Work
from kizu.release.export import Exported, export_run
from kizu.release.parity import Agreement, Tolerances
from kizu.release.verify import verify_run
from kizu.report.verifying import write_verified_page
from kizu.runs.folder import open_run
from kizu.runtimes.signing import signer
from kizu.tasks.line_options import ExportOptions, VerifyOptions
from kizu.tasks.options import parse_grid


@dataclass(frozen=True, slots=True)
class Verified:
    """How far each file is from the run."""

    agreements: list[Agreement]
    tolerances: Tolerances

    @property
    def agrees(self) -> bool:
        """Whether all of them are within the tolerances."""
        return not any(agreement.failures(self.tolerances) for agreement in self.agreements)


def export(run_dir: Path, options: ExportOptions, work: Work) -> Exported:
    """Write the run's detector as one graph."""
    return export_run(
        open_run(run_dir),
        to=options.form.value,
        precision=options.precision.value,
        picture_hw=None if options.input_size is None else parse_grid("--input-size", options.input_size),
        sign=None if options.sign is None else signer(options.sign),
        output_dir=options.output_dir,
        max_constants_mb=options.max_size_mb,
        work=work,
    )


def verify(run_dir: Path, options: VerifyOptions, work: Work) -> Verified:
    """Compare the run with its files, in every runtime installed; write `consistency.json` and `.html`."""
    tolerances = Tolerances()
    agreements = verify_run(
        open_run(run_dir),
        models=options.model or (),
        images=options.images,
        random_images=options.random,
        tolerances=tolerances,
        signed_by=options.require_signature,
        work=work,
    )
    write_verified_page(run_dir / "consistency.html", agreements, tolerances)
    return Verified(agreements, tolerances)
