"""The tables of the report: few digits, and what they rest on beside them."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kizu.metrics.suite import ROWS
from kizu.report.study.document import Table
from kizu.study.conditions import CONDITIONS, Key
from kizu.study.effects import Effects
from kizu.study.record import Record
from kizu.study.run import Study

SHOWN = ("image_auroc", "image_f1", "image_recall", "image_overkill_rate", "pixel_auroc", "aupro_030")
COMPARED = ("shifted", "updated", "refitted", "joint", "cross", "global_shifted")
"""Conditions whose effects the report shows."""
SHORT = ("AUROC", "F1", "recall", "false alarms", "pixel AUROC", "AU-PRO")


def data_table(study: Study) -> Table:
    """What each category consists of, at the first seed."""
    rows = []
    for one in study.config.data:
        record = next(
            r for k, r in study.records.items() if k.category == one.name and k.condition == "clean"
        )
        kinds = Counter(kind for kind in record.kinds if kind != "good")
        rows.append(
            (
                one.name,
                str(record.fitted),
                str(record.validated),
                str(len(record.kinds) - sum(kinds.values())),
                str(sum(kinds.values())),
                ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items())) or "none",
            )
        )
    head = ("category", "fitted", "validation", "test good", "test defective", "of these")
    return Table("data", "Pictures of each category at the first seed.", head, tuple(rows))


def conditions_table(study: Study) -> Table:
    """What each condition is."""
    rows = tuple(
        (str(c.number), name, c.title, c.fit, c.thresholds + (", pooled" if c.pooled else ""), c.met)
        for name, c in CONDITIONS.items()
        if name in study.config.conditions
    )
    head = ("no.", "name", "in words", "fitted on", "thresholds on", "met")
    return Table("conditions", "The conditions, and which pictures serve for what.", head, rows)


def results_table(study: Study, severity: int) -> Table:
    """Mean over categories and seeds of each metric, by method and condition; severity where there is one."""
    rows = []
    for method in study.config.methods:
        for name in study.config.conditions:
            if name == "zero":
                continue
            for count in study.config.update_counts if CONDITIONS[name].fit == "updated" else (0,):
                wanted = severity if CONDITIONS[name].has_severity else 0
                found = [
                    r
                    for k, r in study.records.items()
                    if (k.method, k.condition, k.severity, k.count) == (method, name, wanted, count)
                ]
                if found:
                    label = f"{name} ({count})" if count else name
                    rows.append((method, label, *(_mean(found, metric) for metric in SHOWN)))
    caption = (
        f"Means over {len(study.config.data)} categories and {len(study.config.seeds)} seed(s) at severity"
        f" {severity}; a dash: it could not be computed in one of them."
    )
    return Table("results", caption, ("method", "condition", *SHORT), tuple(rows))


def category_table(study: Study, severity: int) -> Table:
    """Image AUROC of each category and method: clean with its interval, shifted, adapted."""
    names = [
        n for n in ("shifted", "refitted", "joint", "cross", "global_shifted") if n in study.config.conditions
    ]
    rows = []
    for one in study.config.data:
        for method in study.config.methods:
            seed = study.config.seeds[0]
            cells = [_cell(study.records[Key(one.name, method, seed, "clean")], interval=True)]
            for name in names:
                record = study.records.get(Key(one.name, method, seed, name, severity))
                cells.append("-" if record is None else _cell(record, interval=name == "shifted"))
            rows.append((one.name, method, *cells))
    caption = f"Image AUROC at the first seed, severity {severity}, with 95 % intervals over test images."
    return Table("categories", caption, ("category", "method", "clean", *names), tuple(rows))


def effects_table(effects: Effects, severity: int, metric: str = "image_auroc") -> Table:
    """Degradation and recovery: each condition less its baseline, with the test behind it."""
    rows = []
    most = max((one.key.count for one in effects.effects), default=0)
    for one in effects.effects:
        if one.metric != metric or one.key.severity != severity or one.key.condition not in COMPARED:
            continue
        if one.key.count not in (0, most):
            continue
        test = one.first
        bounds = "-"
        if test is not None and test.low is not None and test.high is not None:
            bounds = f"[{test.low:+.3f}, {test.high:+.3f}]"
        condition = f"{one.key.condition} ({one.key.count})" if one.key.count else one.key.condition
        rows.append(
            (
                one.key.category,
                one.key.method,
                f"{condition} - {one.baseline}",
                f"{one.mean:+.3f}",
                bounds,
                "-" if one.corrected_p is None else f"{one.corrected_p:.2g}",
            )
        )
    caption = (
        f"{ROWS[metric].title}: a condition less the one it is compared with, severity {severity}. The mean is over"
        " seeds; interval and p (Holm) are of the first seed, on the same parts. All conditions and metrics:"
        " tables/effects.csv."
    )
    head = ("category", "method", "compared", "mean", "95 % interval", "p (Holm)")
    return Table(f"effects_{metric}", caption, head, tuple(rows))


def kinds_table(study: Study, severity: int) -> Table:
    """Recall by kind of defect, clean, shifted and refitted, at the first seed."""
    seed, names = study.config.seeds[0], ("clean", "shifted", "refitted")
    rows = []
    for one in study.config.data:
        for method in study.config.methods:
            records = [
                study.records.get(
                    Key(one.name, method, seed, n, severity if CONDITIONS[n].has_severity else 0)
                )
                for n in names
            ]
            if any(r is None or r.error for r in records):
                continue
            for kind in sorted({k for k in records[0].kinds if k != "good"}) if records[0] else []:
                cells = [_recall(r, kind) for r in records if r is not None]
                rows.append((one.name, kind, method, *cells))
    caption = f"Defects that were found, by kind, at the first seed and severity {severity}."
    return Table("kinds", caption, ("category", "kind", "method", *names), tuple(rows))


def shared_failures(study: Study, severity: int) -> Table:
    """Escapes and false alarms under the shift that all methods share, against what chance alone would make of each
    one's own."""
    seed, rows = study.config.seeds[0], []
    for one in study.config.data:
        records = [
            study.records.get(Key(one.name, m, seed, "shifted", severity)) for m in study.config.methods
        ]
        measured = [r for r in records if r is not None and r.error is None]
        if len(measured) < 2:
            continue
        labels = measured[0].defective
        wrong = np.stack([r.rejected != r.defective for r in measured])  # (methods, N)
        for title, side in (("escapes", labels), ("false alarms", ~labels)):
            count = int(side.sum())
            own = wrong[:, side].sum(axis=1)
            expected = float(np.prod(own / count) * count) if count else 0.0
            together = int(wrong[:, side].all(axis=0).sum())
            names = [measured[0].ids[i] for i in np.flatnonzero(side & wrong.all(axis=0))][:2]
            each = ", ".join(str(n) for n in own.tolist())
            rows.append((one.name, title, each, str(together), f"{expected:.1f}", ", ".join(names) or "-"))
    caption = (
        f"Failures under the shift, severity {severity}: of each method ({', '.join(study.config.methods)}), shared"
        " by all, what would be shared if they failed independently, and the first that are shared."
    )
    head = ("category", "failure", "of each", "shared", "by chance", "such as")
    return Table("shared_failures", caption, head, tuple(rows))


def cost_table(study: Study) -> Table:
    """What a clock says, on this machine."""
    rows = []
    for method in study.config.methods:
        costs = [
            r.cost
            for k, r in study.records.items()
            if (k.method, k.condition) == (method, "clean") and r.cost is not None
        ]
        if costs:
            times = [c.latency_ms for c in costs if c.latency_ms is not None]
            rows.append(
                (
                    method,
                    f"{np.median([c.fit_seconds for c in costs]):.1f}",
                    f"{np.median(times):.1f}" if times else "-",
                    f"{np.median([c.model_bytes for c in costs]) / 2**20:.1f}",
                )
            )
    caption = "Fits on clean pictures, the median over categories and seeds, as busy as the machine was."
    return Table("costs", caption, ("method", "fit, s", "a picture, ms", "model, MB"), tuple(rows))


def _mean(records: Sequence[Record], metric: str) -> str:
    values = [r.metrics.get(metric) for r in records]
    known = [v for v in values if v is not None]
    return f"{np.mean(known):.3f}" if len(known) == len(values) else "-"


def _cell(record: Record, *, interval: bool) -> str:
    value = record.metrics.get("image_auroc")
    if value is None:
        return "-"
    if not interval or record.auroc_interval is None:
        return f"{value:.3f}"
    return f"{value:.3f} [{record.auroc_interval[0]:.3f}, {record.auroc_interval[1]:.3f}]"


def _recall(record: Record, kind: str) -> str:
    of_kind = np.array([k == kind for k in record.kinds])
    return f"{int(record.rejected[of_kind].sum())} of {int(of_kind.sum())}"
