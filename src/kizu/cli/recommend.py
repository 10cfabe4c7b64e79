"""`kizu recommend`"""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from kizu.cli.options import ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.core.errors import DataError
from kizu.tasks.lab_options import BudgetOptions
from kizu.tasks.options import DataOptions, WorkOptions

if TYPE_CHECKING:
    from kizu.lab.recommend import Recommendation


def recommend(data: DataOptions, options: BudgetOptions, using: WorkOptions, shown: ShownAs) -> None:
    """Try methods on a sample of the good images: what each would cost here, what it sees, and which one to take.

    Nothing is fitted for good. Flaws are painted into good images for it; real ones look different.
    """
    from kizu.tasks.recommend import recommend_for

    with start_work(shown, using) as work:
        found = recommend_for(data, options, work)
    if shown.as_json:
        say_text(json.dumps(_as_json(found), indent=2))
    else:
        _show(found)
    if options.output is not None and found.chosen is None:
        raise DataError(f"{options.output} is not written: {found.reason}", hint="raise the budget")
    if options.output is not None:
        say(f"wrote {options.output}: kizu train --config {options.output}", err=True)


def _as_json(found: "Recommendation") -> dict[str, object]:
    rows = [
        {**asdict(e), "config": e.config.model_dump(mode="json"), "chosen": e is found.chosen}
        for e in found.estimates
    ]
    return {"images": found.count, "reason": found.reason, "estimates": rows, "left_out": found.left_out}


def _show(found: "Recommendation") -> None:
    from kizu.report.tables import text_table

    say(f"{found.count} good images to learn from")
    rows = [
        [
            ("* " if e is found.chosen else "  ") + e.name,
            f"{e.fit_seconds:.1f}",
            f"{e.memory_bytes >> 20}",
            f"{e.latency_ms:.1f}",
            f"{e.painted_auroc:.3f}",
            f"{e.painted_aupro:.3f}",
            "; ".join(e.exceeds),
        ]
        for e in found.estimates
    ]
    head = ["", "fit, s", "peak, MB", "ms/image", "painted AUROC", "painted AU-PRO", ""]
    say_text(text_table(head, rows))
    for name, why in found.left_out.items():
        say(f"not tried: {name} ({why})")
    say(found.reason)
