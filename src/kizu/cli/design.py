"""`kizu design` and `kizu freeze`"""

import json

from kizu.cli.options import Shown, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.lab_options import DesignOptions, FreezeOptions
from kizu.tasks.options import CategoriesOptions, WorkOptions


def design(options: DesignOptions, where: CategoriesOptions, using: WorkOptions, shown: Shown) -> None:
    """Choose settings on development categories, by their test images. Writes a file for `kizu freeze --design`."""
    from kizu.report.tables import number, text_table
    from kizu.tasks.design import choose

    with start_work(shown, using, features_mb=options.features_mb) as work:
        found = choose(options, where, work)
    rows = [
        [
            f"{'*' if row['chosen'] else ' '} {row['method']}",
            json.dumps(row["changes"]) if row["changes"] else "default",
            number(row["image_auroc"]),
            number(row["aupro_030"]),
        ]
        for row in found.origin.evidence
    ]
    say_text(text_table(["method", "change", "image AUROC", "AU-PRO@0.30"], rows))
    say(f"* chosen. Next: kizu freeze --design {options.output}", err=True)
    say(str(options.output))


def freeze(options: FreezeOptions, where: CategoriesOptions) -> None:
    """Write the one file that `kizu evaluate --frozen` takes: all settings, thresholds, seeds, hashes."""
    from kizu.protocol.dev import name_unchecked
    from kizu.tasks.design import freeze_choices

    frozen = freeze_choices(options, where)
    for note in name_unchecked(frozen.origin.dev):
        say(f"note: {note}", err=True)
    say(f"{', '.join(frozen.methods)}; sha256 {frozen.sha256}", err=True)
    say(str(options.output))
