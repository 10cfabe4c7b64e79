"""A run on its data set's test split, image by image: what `inspect` does for a folder, beside what is true.

<run_dir>/predictions/preds.jsonl, masks/, overlays/, report.json      of a run of one category
<run_dir>/predictions/index.html, page/, ng.jpg                         to look at
<run_dir>/predictions/<category>/...                                    of a run of several
"""

from pathlib import Path

from kizu.core.errors import DataError
from kizu.core.work import Work
from kizu.data.masks import true_mask
from kizu.decision.policy import PolicyConfig
from kizu.inspection.folder import FolderResult, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.options import FolderOptions
from kizu.lab.measured_set import read_own_manifest
from kizu.report.inspecting import write_inspection_page
from kizu.runs.folder import RunFolder, open_run
from kizu.tasks.inspect import folder_options, policy_config
from kizu.tasks.line_options import MarkOptions, SavedOptions


def predict(run_dir: Path, marks: MarkOptions, saved: SavedOptions, work: Work) -> dict[str, FolderResult]:
    """As `predict_run`, from options."""
    return predict_run(open_run(run_dir), folder_options(saved), policy=policy_config(marks), work=work)


def predict_run(
    folder: RunFolder,
    options: FolderOptions = FolderOptions(),
    *,
    policy: PolicyConfig = PolicyConfig(),
    work: Work = Work(),
) -> dict[str, FolderResult]:
    """Inspect the test images of each category of the run, {category: result}; overlays show the true flaws in yellow.

    A stopped call is gone on with. Raises `DataError` when there is no test image.
    """
    bundle, manifest = folder.open_bundle(), read_own_manifest(folder, work)
    results = {}
    for name in manifest.parts or (manifest.category,):
        part = manifest.part(name) if manifest.parts else manifest
        samples = part.test()
        if not samples:
            raise DataError(f"{name} has no test image", hint="kizu inspect takes any folder")
        inspector = Inspector(bundle, category=name if manifest.parts else None, policy=policy, work=work)
        place = folder.predictions_dir / name if manifest.parts else folder.predictions_dir
        results[name] = FolderRunner(inspector, place, options, true_mask=true_mask).run(samples)
        if options.save_page:
            kinds = {str(sample.path): sample.defect for sample in samples}
            write_inspection_page(place, results[name].report, kinds)
    return results
