"""What each measured number answers, and what it means, for who reads it without the papers."""

from collections.abc import Mapping, Sequence

from kizu.metrics.intervals import Interval
from kizu.metrics.suite import ROWS
from kizu.pages.content import Number, Numbers
from kizu.report.tables import number

QUESTIONS: Mapping[str, Mapping[str, str]] = {
    "How often is it right, at the threshold in force?": {
        "image_recall": "Of the defective pictures, the part that is called NG.",
        "image_escape_rate": "Of the defective pictures, the part that passes as OK.",
        "image_overkill_rate": "Of the good pictures, the part that is called NG. Its interval is Wilson's; the promise"
        " is held against that of Clopper and Pearson, which is wider.",
        "image_specificity": "Of the good pictures, the part that passes as OK.",
        "image_precision": "Of the pictures called NG, the part that is defective. It hangs on their numbers.",
        "image_f1": "Harmonic mean of precision and recall.",
        "image_accuracy": "Of all pictures, the part with the right verdict. It hangs on how many are good.",
    },
    "How well do its scores tell good from defective, whatever the threshold?": {
        "image_auroc": "Chance that a defective picture has a higher score than a good one; 0.5 is guessing.",
        "image_auprc": "Precision averaged over all recalls. Guessing gives the part that is defective.",
        "image_oracle_f1_max": "The highest F1 that any threshold gives on these pictures: a bound, for it is chosen on"
        " what it is measured on.",
        "image_fpr_at_95_tpr": "Where the threshold is low enough to find 95 % of the defective pictures, the part of"
        " the good ones that is rejected.",
    },
    "Does it show the flaw where it is?": {
        "aupro_030": "Area under the overlap with each true region, over false alarms on pixels up to 30 %; each region"
        " counts the same, however large.",
        "aupro_005": "The same up to 5 % of false alarms: harder, and nearer to use.",
        "aupimo": "Recall of each picture's flaw at false alarms so rare that good pictures stay clean (1e-5 to 1e-4 of"
        " their pixels).",
        "pixel_auroc": "Chance that a flawed pixel has a higher value than a sound one; large flaws and the many sound"
        " pixels make it look high.",
        "pixel_auprc": "Precision over all recalls of pixels.",
        "seg_f1": "F1 of the marked pixels of all pictures, where a picture that passes has none marked (MVTec AD 2).",
        "pixel_f1": "F1 of pixels at the pixel threshold.",
        "pixel_iou": "Marked and flawed pixels: what both share, of what either has.",
        "pixel_dice": "The same number as F1 of pixels, by the name that segmentation has for it.",
        "pixel_precision": "Of the pixels above the pixel threshold, the part that is flawed.",
        "pixel_recall": "Of the flawed pixels, the part above the pixel threshold.",
        "pixel_oracle_f1_max": "The highest F1 of pixels that any threshold gives on these pictures: a bound.",
    },
}
"""Question -> metric -> meaning; each metric of the suite once."""


def number_blocks(values: Mapping[str, float | None], intervals: Mapping[str, Interval]) -> list[Numbers]:
    """What was measured, by question; what the data cannot give is not there."""
    blocks = []
    for question, meanings in QUESTIONS.items():
        found = [
            Number(_capital(ROWS[key].title), number(value), _span(intervals.get(key)), meaning)
            for key, meaning in meanings.items()
            if key != "pixel_dice" and (value := values.get(key)) is not None
        ]
        if found:
            blocks.append(Numbers(question, found))
    return blocks


def missing_lines(reasons: Mapping[str, str]) -> Sequence[str]:
    """What could not be measured, a line for each reason."""
    by_reason: dict[str, list[str]] = {}
    for key, why in reasons.items():
        by_reason.setdefault(why, []).append(ROWS[key].title if key in ROWS else key)
    return [f"Not measured ({why}): {', '.join(names)}." for why, names in by_reason.items()]


def _span(interval: Interval | None) -> str:
    return "" if interval is None else f"{interval.low:.3f} to {interval.high:.3f}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
