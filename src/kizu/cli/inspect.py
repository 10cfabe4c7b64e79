"""`kizu inspect`"""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from kizu.cli import exits
from kizu.cli.options import ShownAs, start_work
from kizu.cli.printing import say, say_text
from kizu.tasks.line_options import DecisionOptions, SourceOptions, WritingOptions
from kizu.tasks.options import Flag, WorkOptions

if TYPE_CHECKING:
    from kizu.inspection.records import Record


def inspect(
    source: SourceOptions,
    decision: DecisionOptions,
    writing: WritingOptions,
    using: WorkOptions,
    shown: ShownAs,
    fail_on_ng: Annotated[bool, Flag("Exit with 1 when any image is NG.", ("--fail-on-ng",))] = False,
) -> None:
    """Say OK or NG for each image and draw where the flaw is. Stopped? The same command goes on where it was."""
    from kizu.tasks.inspect import inspect

    if source.watch:
        say(f"watching {source.folder or source.input_dir}; Ctrl-C ends it", err=True)
    with start_work(shown, using) as work:
        done = inspect(source, decision, writing, work, on_record=lambda record: say(_tell(record)))
    report = done.result.report
    if done.result.skipped:
        say(f"{done.result.skipped} images were done before", err=True)
    if done.result.num_failed:
        say(f"not inspected: {done.result.num_failed}", *done.result.failures, err=True)
    if done.result.num_unknown:
        say(
            f"of none of these products, without a verdict: {done.result.num_unknown}",
            *done.result.unknown,
            err=True,
        )
    if report.num_more_pages:
        say(f"further pages were not looked at: {report.num_more_pages} images", err=True)
    if report.num_beyond_scale:
        say(f"numbers beyond the model's scale: {report.num_beyond_scale} images", err=True)
    if done.page is not None:
        say(f"look at {done.page.resolve()}", err=True)
    say(f"wrote {done.output_dir}", err=True)
    if done.result.rejected and not source.watch and not shown.as_json:
        say(*done.result.rejected)
    say_text(json.dumps(report.as_json(), indent=2) if shown.as_json else report.told())
    for product, part in done.result.reports.items():
        if part.assumed_good is not None and not shown.as_json:
            head = [product] if len(done.result.reports) > 1 else []
            say(*head, *(f"{name:<9} {said}" for name, said in part.assumed_good.says))
    if fail_on_ng and done.result.num_ng:
        raise typer.Exit(exits.NG_FOUND)
    if done.result.num_failed or done.result.num_unknown or report.num_unread:
        raise typer.Exit(exits.SOME_UNREAD)


def _tell(record: "Record") -> str:
    """One line as it comes."""
    from kizu.inspection.records import Failure
    from kizu.inspection.unknown import Unknown

    if isinstance(record, Failure):
        return f"--  {record.image_path}  {record.error}"
    if isinstance(record, Unknown):
        return f"--  {record.image_path}  {record.warning}"
    product = "" if record.class_name is None else f"  {record.class_name}"
    return f"{record.label}  {record.image_path}  {record.pred_score:.4g}{product}"
