"""MPDD, metal parts (Jezek et al., "Deep learning-based defect detection of metal parts", ICUMT 2021).

    <root>/<category>/train/good/NNN.png
    <root>/<category>/test/good/NNN.png, test/<kind>/NNN.png
    <root>/<category>/ground_truth/<kind>/NNN_mask.png

Categories: bracket_black, bracket_brown, bracket_white, connector, metal_plate, tubes. The folders are those of MVTec
AD, so everything that `mvtec_ad` says holds; a layout of its own only gives the data set its name in results. What
differs is in the pictures: parts lie in any position, several to an image, before backgrounds that change.
"""

from dataclasses import replace
from pathlib import Path

from kizu.data.layouts import mvtec_ad
from kizu.data.layouts.files import IMAGE, MASK, Example, need_root
from kizu.data.manifest import Manifest

EXAMPLE: Example = {
    **{f"tubes/train/good/{number:03}.png": IMAGE for number in range(8)},
    **{f"tubes/test/good/{number:03}.png": IMAGE for number in range(2)},
    **{f"tubes/test/anomalous/{number:03}.png": IMAGE for number in range(2)},
    **{f"tubes/ground_truth/anomalous/{number:03}_mask.png": MASK for number in range(2)},
}


def scan(root: Path | None = None, category: str | None = None) -> Manifest:
    """List one category, as `mvtec_ad`. Raises `DataError`, saying what was looked for and what is there."""
    return replace(mvtec_ad.scan(need_root(root, "MPDD"), category), dataset="mpdd")
