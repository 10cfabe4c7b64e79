"""The page of an inspection, `index.html`, and the NG pictures on one sheet, `ng.jpg`: made from its lines.

Both say what the lines say, and nothing is scored for them.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import quote_from_bytes

from kizu.core.errors import ImageError, OutputError
from kizu.core.files import read_json, write_text
from kizu.core.locks import locked
from kizu.decision.promise import percent
from kizu.imaging.codec import decode, encode_jpeg
from kizu.imaging.overlay import contact_sheet
from kizu.inspection.journal import lines_of
from kizu.inspection.layers import SUFFIXES, place_of
from kizu.inspection.mixed import MixedReport
from kizu.inspection.records import Failure, Prediction, Record
from kizu.inspection.report import Report
from kizu.inspection.unknown import Unknown
from kizu.pages import render
from kizu.pages.content import Block, Case, Facts, Notes, Page, Part, Pictures, Region, Said, Scores, Table
from kizu.report.answers import inspection_answer, inspection_problems
from kizu.report.cases import MOVED, cases_block

SHEET, SHEET_PX, SHEET_COLUMNS = 30, 220, 5
"""Pictures on the sheet of NG, and its measures."""
TOLD_FAILURES = 50
AGAIN = "run kizu inspect again"
TRUTH = {"good": 0, "defect": 1}


def write_inspection_page(
    folder: Path, report: Report | MixedReport, kinds: Mapping[str, str] | None = None
) -> Path:
    """`index.html` in the results `folder`, and `ng.jpg` where anything is NG; of several products a part for each.

    `kinds`: what flaw each picture has, by its path as it was given. Raises `OutputError`.
    """
    page = folder / "index.html"
    with locked(folder):
        records = [record for record in lines_of(folder / "preds.jsonl") if not record.superseded]
        sheet = _sheet_block(_write_sheet(folder, records))
        if isinstance(report, MixedReport):
            parts = _mixed_parts(folder, report, records, sheet)
        else:
            parts = [_inspection_part(folder, report, records, kinds or {}, sheet)]
        write_text(page, render(Page(parts[0].title, parts)), durable=False)
    return page


def refresh_inspection_page(folder: Path) -> None:
    """Write the page anew where there is one: its lines or their verdicts have changed. Raises `OutputError`."""
    if not (folder / "index.html").exists():
        return
    path = folder / "report.json"
    values = read_json(path, hint=AGAIN)
    kind = MixedReport if "products" in values else Report
    write_inspection_page(folder, kind.parse(values, where=str(path)))


def _mixed_parts(
    folder: Path, report: MixedReport, records: Sequence[Record], sheet: Sequence[Block]
) -> list[Part]:
    """What holds of all pictures, then each product's own: scores of two models cannot be compared."""
    told = f"{report.num_ng} of {report.num_images} pictures that were judged are NG; {report.num_ok} are OK."
    answer = [Said(told)]
    if report.num_unknown:
        few = "is" if report.num_unknown == 1 else "are"
        answer.append(
            Said(f"{report.num_unknown} {few} of none of these products: nobody judged them.", "bad")
        )
    answer += inspection_problems(report)
    unknown = [record for record in records if isinstance(record, Unknown)]
    failed = [record for record in records if isinstance(record, Failure) and record.category is None]
    blocks = [*sheet]
    if unknown:
        rows = [
            [one.image_path, f"{one.class_distance:.3f}", f"{one.class_limit:.3f}"]
            for one in unknown[:TOLD_FAILURES]
        ]
        head = ["picture", "distance from the nearest product", "its limit"]
        blocks.append(Table("Of none of these products", head, rows, _more(unknown)))
    blocks += [*_failures(failed), *_passed_over(report)]
    parts = [Part("Several products · inspection", answer, blocks)]
    for name, product in report.products.items():
        own = [one for one in records if not isinstance(one, Unknown) and _product_of(one) == name]
        parts.append(_inspection_part(folder, product, own, {}))
    return parts


def _product_of(record: Prediction | Failure) -> str | None:
    return record.class_name if isinstance(record, Prediction) else record.category


def _inspection_part(
    folder: Path,
    report: Report,
    records: Sequence[Record],
    kinds: Mapping[str, str],
    sheet: Sequence[Block] = (),
) -> Part:
    """What the page says of the lines that count."""
    judged = [record for record in records if isinstance(record, Prediction)]
    below = _common_folder(judged)
    cases = [_case(folder, record, kinds.get(record.image_path, ""), below) for record in judged]
    blocks: list[Block] = []
    if cases:
        blocks += [_scores(cases), cases_block("Pictures", cases, _without_layers(cases))]
    blocks += [*sheet, *_failures([record for record in records if isinstance(record, Failure)])]
    facts = _facts(report) + ([("Pictures", f"below {below}")] if below else [])
    blocks += [Facts("What it rests on", facts), *_passed_over(report)]
    answer = _truth_answer(judged, report) or inspection_answer(report)
    return Part(f"{report.category} · {report.model} · inspection", answer, blocks)


def _sheet_block(sheet: Path | None) -> list[Block]:
    if sheet is None:
        return []
    return [Pictures("The highest NG on one sheet", [(sheet.name, "NG pictures, the highest score first")])]


def _failures(failed: Sequence[Failure]) -> list[Block]:
    if not failed:
        return []
    rows = [[record.image_path, record.outcome, record.error] for record in failed[:TOLD_FAILURES]]
    return [Table("Without a verdict", ["picture", "outcome", "why"], rows, _more(failed))]


def _more(told: Sequence[object]) -> str:
    return f"and {len(told) - TOLD_FAILURES} more" if len(told) > TOLD_FAILURES else ""


def _passed_over(report: Report | MixedReport) -> list[Block]:
    passed = [f"{row.count} passed over: {row.reason}" for row in report.passed_over or ()]
    return [Notes("What else the folder holds", passed)] if passed else []


def _truth_answer(judged: Sequence[Prediction], report: Report) -> list[Said]:
    """Where it is known of every picture what it shows."""
    if not judged or any(record.gt_label is None for record in judged):
        return []
    bad = [record.is_anomaly for record in judged if record.gt_label == "defect"]
    good = [record.is_anomaly for record in judged if record.gt_label == "good"]
    told = []
    if bad:
        told.append(f"finds {sum(bad)} of {len(bad)} defective pictures ({percent(sum(bad) / len(bad))})")
    if good:
        told.append(f"rejects {sum(good)} of {len(good)} good ones ({percent(sum(good) / len(good))})")
    said = [Said(f"On {report.category}, {report.model} {' and '.join(told)}.")]
    rate = report.thresholds.false_alarm_rate
    promised = "nothing of good parts" if rate is None else f"to reject at most {percent(rate)} of good parts"
    said.append(
        Said(
            f"Its threshold promised {promised}; kizu evaluate holds that against what was measured.", "open"
        )
    )
    return [*said, *inspection_problems(report)]


def _scores(cases: Sequence[Case]) -> Scores:
    """On the scale of the scores; in units of their threshold, where pictures have different ones."""
    title = "Scores, and the threshold to move"
    limits = {case.threshold for case in cases}
    if len(limits) == 1:
        return Scores(title, limits.pop(), [(case.score, case.truth) for case in cases], note=MOVED)
    pairs = [(case.score / case.threshold, case.truth) for case in cases if case.threshold > 0]
    return Scores(
        title, 1.0, pairs, unit="score, in units of each picture's threshold", note=MOVED, is_relative=True
    )


def _case(folder: Path, record: Prediction, kind: str, below: str) -> Case:
    limit = record.effective_pixel_threshold
    layers = _layers(folder, record)
    if not record.is_anomaly:
        layers.pop("found", None)  # decided again since it was drawn
    return Case(
        name=record.image_path.removeprefix(below),
        score=record.pred_score,
        threshold=record.image_threshold,
        label=record.label,
        truth=TRUTH.get(record.gt_label or "", 2),
        kind=kind,
        size_px=record.image_size,
        regions=[
            Region(one.bbox, one.area, one.max_anomaly_value / limit if limit > 0 else 0.0)
            for one in record.defects
        ],
        reason=record.reason or "",
        **layers,
    )


def _common_folder(records: Sequence[Prediction]) -> str:
    """What all their paths begin with, up to its last slash."""
    shared = os.path.commonprefix([one.image_path for one in records])  # noqa: RUF071 - it is cut at a slash
    return shared[: shared.rfind("/") + 1]


def _layers(folder: Path, record: Prediction) -> dict[str, str]:
    """Addresses, as they are seen from the page."""
    if record.overlay_path is None:
        return {}
    _, found, name = Path(record.overlay_path).as_posix().rpartition("/overlays/")
    if not found:
        return {}
    stem = PurePosixPath(name).with_suffix("").as_posix()
    there = {layer: place_of(folder, layer, stem) for layer in SUFFIXES}
    addresses = {layer: _address(path, folder) for layer, path in there.items() if path.is_file()}
    overlay = folder / "overlays" / name
    if "picture" not in addresses:
        return {"whole": _address(overlay, folder)} if overlay.is_file() else {}
    return addresses


def _address(path: Path, folder: Path) -> str:
    return quote_from_bytes(path.relative_to(folder).as_posix().encode(errors="surrogateescape"))


def _without_layers(cases: Iterable[Case]) -> str:
    without = sum(not (case.picture or case.whole) for case in cases)
    return f"Of {without} pictures no overlay was saved." if without else ""


def _facts(report: Report) -> list[tuple[str, str]]:
    limits = report.thresholds
    rests = f"{limits.rule} on {limits.count} pictures" if limits.count else f"{limits.rule}, set by hand"
    facts = [
        ("Method", report.model),
        ("Image threshold", f"{limits.image_threshold:.5g} ({rests})"),
        ("Pixel threshold", f"{limits.pixel_threshold:.5g} ({limits.pixel_rule})"),
    ]
    stats, flaws = report.score_stats, report.defect_stats
    if stats is not None:
        facts.append(("Scores", f"{stats.min:.4g} to {stats.max:.4g}, mean {stats.mean:.4g}"))
    if flaws is not None and flaws.total_defects:
        facts.append(("Flaws listed", f"{flaws.total_defects}, the largest {flaws.max_defect_area} px"))
    return facts


def _write_sheet(folder: Path, records: Sequence[Record]) -> Path | None:
    """The NG pictures with the highest scores; none: no sheet, and an old one goes."""
    path = folder / "ng.jpg"
    rejected = sorted(
        (one for one in records if isinstance(one, Prediction) and one.is_anomaly and one.overlay_path),
        key=lambda one: one.pred_score / one.image_threshold if one.image_threshold > 0 else one.pred_score,
        reverse=True,
    )
    tiles, captions = [], []
    for record in rejected[:SHEET]:
        _, _, name = Path(record.overlay_path or "").as_posix().rpartition("/overlays/")
        try:
            tiles.append(decode(folder / "overlays" / name))
        except ImageError:
            continue  # somebody removed it; its line stays
        captions.append(f"{Path(record.image_path).name}  {record.pred_score:.4g}")
    if tiles:
        encode_jpeg(path, contact_sheet(tiles, SHEET_COLUMNS, captions, tile_px=SHEET_PX))
        return path
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot remove {path}: {error.strerror or error}") from error
    return None
