"""Pictures beside an export with the scores that they must get: the test of whoever feeds the file by other means.

<place>/check/<n>.png        drawn, with detail as fine as a pixel, so that another resize shows
<place>/check/check.json     of each what the network sees of it (a hash), its score and its label
"""

from pathlib import Path

import numpy as np

from kizu.bundles.manifest import Bundle
from kizu.core.config import Stored
from kizu.core.errors import BundleError, ScoreError
from kizu.core.files import read_stored, write_stored
from kizu.core.hashing import hash_bytes
from kizu.core.parts import sweep_file_parts
from kizu.core.types import HW, U8
from kizu.core.work import Work
from kizu.imaging.codec import decode, encode_png
from kizu.imaging.kernel import kernel
from kizu.imaging.placement import place
from kizu.imaging.tiling import as_seen
from kizu.pipeline.opened import open_pipeline
from kizu.release.parity import Agreement
from kizu.runtimes.model import ModelFile

CHECK = "check"
INDEX = "check.json"


class CheckPicture(Stored):
    """One picture, and what must come of it."""

    file: str
    size: HW
    """(H, W)"""
    seen_sha256: str
    """Of the bytes that the network sees: (h, w, 3) RGB, row by row."""
    pred_score: float
    map_max: float
    label: str


class CheckFile(Stored):
    """`check.json`"""

    bundle_sha256: str
    image_threshold: float
    pixel_threshold: float
    seen: HW
    """(h, w) that pictures are resized, and cut, to."""
    pictures: tuple[CheckPicture, ...]


def draw_check_picture(hw: HW) -> U8:
    """(H, W, 3): rings that grow finer outwards, in whole numbers, so that any program draws the same."""
    y, x = (np.arange(side, dtype=np.int64) - side // 2 for side in hw)
    rings = (np.add.outer(y * y, x * x) * 97 // max(hw)) & 511
    wave = np.minimum(rings, 511 - rings)  # 0..255
    return np.stack([wave, 255 - wave, (wave + 3 * x) & 255], axis=2).astype(np.uint8)


def write_check_pictures(where: Path, bundle: Bundle, picture_hw: HW | None, work: Work) -> None:
    """Draw them for `bundle` and score them in Python; also one of `picture_hw`, for a file that takes only that size.

    Those of an earlier export of the same bundle stay. For who holds `where`. Raises `OutputError`.
    """
    placement, thresholds = bundle.manifest.placement, bundle.manifest.thresholds
    (h, w), folder = placement.resized_hw, where / CHECK
    sweep_file_parts(folder)
    pipeline = open_pipeline(bundle, work.with_runtime("onnxruntime"))
    before = _read(folder) if (folder / INDEX).exists() else None
    kept = before.pictures if before is not None and before.bundle_sha256 == bundle.bundle_sha256 else ()
    sizes = {(h * 7 // 4, w * 5 // 3), (h * 4 + 2, w * 3 + 1), *([picture_hw] if picture_hw else [])}
    pictures = {picture.file: picture for picture in kept}
    for hw in sorted(sizes):
        picture = draw_check_picture(hw)
        seen = place(picture, placement)
        scores = pipeline.score(seen[None])
        score = float(scores.image[0])
        name = f"{hw[0]}x{hw[1]}.png"
        encode_png(folder / name, picture)
        pictures[name] = CheckPicture(
            file=name,
            size=hw,
            seen_sha256=hash_bytes(seen.tobytes()),
            pred_score=score,
            map_max=float(scores.maps.max()),
            label="NG" if thresholds.image.is_exceeded_by(score) else "OK",
        )
    index = CheckFile(
        bundle_sha256=bundle.bundle_sha256,
        image_threshold=thresholds.image.value,
        pixel_threshold=thresholds.pixel.value,
        seen=placement.seen_hw,
        pictures=tuple(pictures[name] for name in sorted(pictures)),
    )
    write_stored(folder / INDEX, index)


def compare_check_pictures(name: str, model: ModelFile, bundle: Bundle, work: Work) -> Agreement:
    """An ONNX file as another program uses it: the pictures beside it decoded, resized by the kernel as it is written
    down, and given to ONNX Runtime. Raises `BundleError` for a broken `check.json`."""
    folder, placement = model.path.parent / CHECK, bundle.manifest.placement
    index = _read(folder)
    agreement = Agreement(f"{name}, check pictures", model.precision != "f32")
    if index.bundle_sha256 != bundle.bundle_sha256:
        agreement.refused = f"stale: {folder} is of another bundle; run kizu export again"
        return agreement
    scorer = model.scorer(work.with_runtime("onnxruntime"))
    whole = model.picture_hw is not None
    seeing = scorer if whole else as_seen(scorer, placement)
    for told in index.pictures:
        if whole and told.size != model.picture_hw:
            continue
        picture = decode(folder / told.file)
        seen = kernel(told.size, placement)(picture)
        if hash_bytes(seen.tobytes()) != told.seen_sha256:
            agreement.refused = f"the network sees {told.file} otherwise than when it was exported"
            return agreement
        try:
            score = float(seeing.score((picture if whole else seen)[None]).image[0])
        except ScoreError:
            agreement.not_finite += 1
        else:
            agreement.count_score(told.file, told.pred_score, score, bundle.manifest.thresholds.image)
    return agreement


def _read(folder: Path) -> CheckFile:
    return read_stored(folder / INDEX, CheckFile, hint="run kizu export again", raises=BundleError)
