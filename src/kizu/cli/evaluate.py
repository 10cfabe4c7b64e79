"""`kizu evaluate`"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from kizu.cli.options import ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.core.errors import ConfigError
from kizu.tasks.lab_options import FrozenOptions, ThresholdOptions
from kizu.tasks.options import CategoriesOptions, DataOptions, Flag, WorkOptions

if TYPE_CHECKING:
    from kizu.tasks.evaluate import Evaluated


def evaluate(
    *,
    run_dir: Annotated[
        Path | None,
        Flag("The run folder that `kizu train` printed.", ("--model",), is_there=True, old=("--run-dir",)),
    ] = None,
    frozen: FrozenOptions,
    thresholds: ThresholdOptions,
    data: DataOptions,
    using: WorkOptions,
    shown: ShownAs,
) -> None:
    """Score the test split once and measure it: of a run (--model), or of a frozen pipeline (--frozen).

    A run gets metrics.json, preds_test.jsonl and report.html; a frozen pipeline is fitted anew for each of its seeds.
    """
    if (run_dir is None) == (frozen.frozen is None):
        raise ConfigError("give either --model or --frozen", hint="see kizu evaluate --help")
    if run_dir is None:
        _evaluate_frozen(frozen, thresholds, data, using, shown)
        return
    if frozen != FrozenOptions():
        raise ConfigError("--categories, --include-dev and --output-dir go with --frozen only")
    from kizu.tasks.evaluate import evaluate, set_thresholds

    with start_work(shown, using) as work:
        found = set_thresholds(run_dir, thresholds, work)
        if found is not None:
            say(f"image threshold {found.image.describe()}", err=True)
            say(f"pixel threshold {(found.zones or found.pixel).describe()}", err=True)
            say("a version of the run has them: kizu versions, kizu rollback", err=True)
        evaluated = evaluate(run_dir, data, work)
    _show(evaluated, shown)


def _show(evaluated: "Evaluated", shown: ShownAs) -> None:
    from kizu.report.promises import promise_table, promise_text
    from kizu.report.tables import metrics_table, number, text_table

    if not evaluated.drawn:
        say("no figures: pip install 'kizu[report]'", err=True)
    say(f"wrote {' and '.join(map(str, evaluated.written))}", err=True)
    found = evaluated.by_category
    if shown.as_json:
        say_text(json.dumps(evaluated.as_json(), indent=2))
    elif evaluated.is_merged:
        rows = [
            [key, *(number(evaluation.metrics[key]) for evaluation in found.values()), number(value)]
            for key, value in evaluated.mean.items()
        ]
        say_text(text_table(["", *found, "mean"], rows))
        say_text("\n" + promise_table((name, evaluation.promises) for name, evaluation in found.items()))
    else:
        (evaluation,) = found.values()
        say_text(metrics_table(evaluation.metrics, evaluation.reasons))
        say_text("\n" + promise_text(evaluation.promises))


def _evaluate_frozen(
    frozen: FrozenOptions, thresholds: ThresholdOptions, data: DataOptions, using: WorkOptions, shown: ShownAs
) -> None:
    if thresholds != ThresholdOptions():
        raise ConfigError(
            "nothing in a frozen pipeline can be changed", hint="leave the thresholds' options out"
        )
    if data.category is not None:
        raise ConfigError("--frozen takes --categories, not --category")
    from kizu.report.portfolio import portfolio_table, promise_rows, promises_table
    from kizu.tasks.frozen import evaluate_frozen_file

    with start_work(shown, using) as work:
        found = evaluate_frozen_file(frozen, CategoriesOptions(data.root, data.layout), work)
    if found.figures is not None:
        say(f"wrote {found.figures}: the first seed's figures", err=True)
    say(f"wrote {found.folder}/report.md and report.html", err=True)
    told = [result.metrics for result in found.results]
    if shown.as_json:
        say_text(json.dumps(told, indent=2))
        return
    say_text(portfolio_table(found.results))
    if promise_rows(found.results):
        say_text("\n" + promises_table(found.results))
