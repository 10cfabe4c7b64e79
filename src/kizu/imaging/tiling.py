"""Images much larger than the network's input: cut into overlapping tiles, their maps blended into one.

What a placement with `tile_overlap` sees is the whole resized image; a scorer is fed its tiles.
"""

import numpy as np

from kizu.core.errors import ScoreError
from kizu.core.types import F32, I64, U8, Scorer, Scores
from kizu.imaging.placement import PlacementConfig


def tile_corners(config: PlacementConfig) -> list[tuple[int, int]]:
    """(top, left) of each tile in the image as it is seen, row by row; the last ones end at its border."""
    overlap = config.tile_overlap or 0.0
    rows, columns = (
        _starts(side, tile, overlap) for side, tile in zip(config.seen_hw, config.image_size, strict=True)
    )
    return [(int(top), int(left)) for top in rows for left in columns]


def tiles_per_image(config: PlacementConfig) -> int:
    """1 where nothing is cut."""
    return 1 if config.tile_overlap is None else len(tile_corners(config))


def cut(images: U8, config: PlacementConfig) -> U8:
    """(N, H, W, 3) as they are seen -> (N * T, h, w, 3), image by image; themselves where nothing is cut."""
    if config.tile_overlap is None:
        return images
    h, w = config.image_size
    corners = tile_corners(config)
    return np.stack([image[top : top + h, left : left + w] for image in images for top, left in corners])


def stitch(maps: F32, config: PlacementConfig) -> F32:
    """Maps of tiles (N * T, h, w) -> (N, H, W): where tiles overlap each weighs by how far inside it a pixel lies.

    No value leaves the range of the maps.
    """
    h, w = config.image_size
    corners = tile_corners(config)
    window = np.minimum.outer(_ramp(h), _ramp(w))
    weight = np.zeros(config.seen_hw, np.float32)
    for top, left in corners:
        weight[top : top + h, left : left + w] += window
    share = [window / weight[top : top + h, left : left + w] for top, left in corners]
    count = len(maps) // len(corners)
    whole = np.zeros((count, *config.seen_hw), np.float32)
    for index, tile_map in enumerate(maps):
        (top, left), part = corners[index % len(corners)], share[index % len(corners)]
        whole[index // len(corners), top : top + h, left : left + w] += tile_map * part
    return np.clip(whole, maps.min(), maps.max())  # shares sum to one but for the last bit


class TiledScorer:
    """A scorer of tiles as a scorer of whole images. The image score is the highest pixel of the stitched map."""

    def __init__(self, scorer: Scorer, config: PlacementConfig) -> None:
        self._scorer, self._config = scorer, config

    def score(self, images: U8) -> Scores:
        """(N, H, W, 3) as they are seen -> scores (N,) and maps (N, H, W). Raises `ScoreError` for another size."""
        if images.shape[1:3] != self._config.seen_hw:
            raise ScoreError(f"images must be {self._config.seen_hw}, got {images.shape[1:3]}")
        maps = np.concatenate(  # one image at a time: its tiles are a batch already
            [
                stitch(self._scorer.score(cut(image[None], self._config)).maps, self._config)
                for image in images
            ]
        )
        return Scores(maps.max(axis=(1, 2)), maps)


def as_seen(scorer: Scorer, config: PlacementConfig) -> Scorer:
    """`scorer` for images as the placement gives them: cut into tiles where it says so."""
    return scorer if config.tile_overlap is None else TiledScorer(scorer, config)


def _starts(side: int, tile: int, overlap: float) -> I64:
    # Whole pixels from tile to tile at most; rounding even steps makes none longer than the next whole number.
    longest = max(1, int(tile * (1 - overlap) + 1e-9))
    steps = -(-(side - tile) // longest)
    return np.rint(np.linspace(0, side - tile, steps + 1)).astype(np.int64)


def _ramp(size: int) -> F32:
    """1 at the border, rising by 1 with each pixel inwards."""
    places = np.arange(size)
    return np.minimum(places + 1, size - places).astype(np.float32)
