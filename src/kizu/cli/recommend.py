"""`kizu recommend`"""

import json
from typing import TYPE_CHECKING

from kizu.cli.options import ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.core.errors import DataError
from kizu.tasks.lab_options import BudgetOptions
from kizu.tasks.options import DataOptions, WorkOptions

if TYPE_CHECKING:
    from kizu.lab.searched import Searched
    from kizu.lab.with_defects import DefectsTried
    from kizu.tasks.recommend import Recommended


def recommend(data: DataOptions, options: BudgetOptions, using: WorkOptions, shown: ShownAs) -> None:
    """Try methods on a sample of the good images: what each would cost here, what it sees, and which one to take.

    The best one is tried at several sizes of its input: how large flaws must be to be found, and what that costs.
    --with-defects asks held-out folds whether the labelled defects in train/<kind> are worth learning from.
    --search tries networks, layers, sizes, methods and their settings instead, for as long as it may. Nothing is fitted
    for good, and no test image is looked at. Flaws are painted into good images for it; real ones look different.
    """
    with start_work(shown, using) as work:
        if options.with_defects:
            from kizu.tasks.recommend import defects_for

            tried = defects_for(data, options, work)
            is_chosen, reason = tried.offered is not None, tried.reason
            _show_defects(tried, as_json=shown.as_json)
        elif options.search:
            from kizu.tasks.recommend import search_for

            searched = search_for(data, options, work)
            is_chosen, reason = searched.winner is not None, searched.reason
            _show_search(searched, as_json=shown.as_json)
        else:
            from kizu.tasks.recommend import recommend_for

            found = recommend_for(data, options, work)
            is_chosen, reason = found.config is not None, found.reason
            _show(found, as_json=shown.as_json)
    if options.output is not None and not is_chosen:
        hint = "kizu recommend without --with-defects" if options.with_defects else "raise the budget"
        raise DataError(f"{options.output} is not written: {reason}", hint=hint)
    if options.output is not None:
        page = "" if options.with_defects else " and its page"
        say(f"wrote {options.output}{page}: kizu train --config {options.output}", err=True)


def _show(told: "Recommended", *, as_json: bool) -> None:
    from kizu.report.recommending import candidates_table, recommendation_json, sizes_table, sizes_told

    found, sizes = told.found, told.sizes
    if as_json:
        say_text(json.dumps(recommendation_json(found, sizes), indent=2))
        return
    say(f"{found.count} good images to learn from")
    say_text(candidates_table(found))
    for name, why in found.left_out.items():
        say(f"not tried: {name} ({why})")
    say(found.reason)
    if sizes is not None:
        say_text(f"\n{sizes_table(sizes)}")
        say(sizes_told(sizes))
        for name, why in sizes.left_out.items():
            say(f"not tried: size {name} ({why})")
        say(sizes.reason)


def _show_defects(found: "DefectsTried", *, as_json: bool) -> None:
    from kizu.report.defects import defects_json, defects_table, defects_told

    if as_json:
        say_text(json.dumps(defects_json(found), indent=2))
        return
    say(defects_told(found))
    say_text(defects_table(found))
    say(found.reason)


def _show_search(found: "Searched", *, as_json: bool) -> None:
    from kizu.report.recommending import search_json, search_table, search_told

    if as_json:
        say_text(json.dumps(search_json(found), indent=2))
        return
    say(f"{found.count} good images to learn from")
    say_text(search_table(found))
    for line in search_told(found):
        say(line)
    say(found.reason)
