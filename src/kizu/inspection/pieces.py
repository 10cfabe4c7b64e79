"""What a worker does with a few pictures, all the way from file to record: whatever goes wrong with one becomes its own
record, and only what concerns all of them is raised."""

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kizu.core.errors import (
    CancelledError,
    ImageError,
    KizuError,
    MismatchError,
    OutputError,
    ScoreError,
)
from kizu.core.room import pixel_room, portions
from kizu.core.types import HW, Bool
from kizu.data.batches import Placed, place_source
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_jpeg, encode_png, image_info
from kizu.imaging.opening import FileContent, read_file
from kizu.inspection.inspector import Inspection, Inspector
from kizu.inspection.judges import Chosen, Judges
from kizu.inspection.layers import draw_layers
from kizu.inspection.options import FolderOptions
from kizu.inspection.records import prediction_record
from kizu.inspection.results import Named, Result, failure, of_none, refused, unforeseen
from kizu.inspection.source import Source

TrueMask = Callable[[Sample, HW], Bool | None]
"""Where a sample of this size (H, W) is really flawed, (H, W); None: nobody knows."""

HELD_PX = 4_000_000
"""Pictures that wait for the network together hold about so many pixels; a larger one goes alone."""
_OF_ONE_PICTURE = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL})
"""Errors of writing that another picture would not meet."""


class _Opened(NamedTuple):
    named: Named
    source: Source
    content: FileContent
    hw: HW

    @property
    def pixels(self) -> int:
        """Of the whole picture."""
        return self.hw[0] * self.hw[1]


class _Ready(NamedTuple):
    named: Named
    source: Source
    placed: Placed
    inspector: Inspector
    found: Mapping[str, Any]
    """What a record says of how its model was found."""
    timings: dict[str, float]
    """ms"""


@dataclass(frozen=True, slots=True)
class InspectPieces:
    """Makes what a worker does with a few images; it can be pickled, and opens its inspectors where it arrives."""

    judges: Judges
    output_dir: Path
    options: FolderOptions
    true_mask: TrueMask | None = None

    def __call__(self) -> Callable[[Sequence[Named]], list[Result]]:
        """The worker's function: from pictures to what came of them, in their order, mask and overlay written."""
        return self._results

    def _results(self, named: Sequence[Named]) -> list[Result]:
        items = [self._open(piece) for piece in named]
        found = {item.named.key: item for item in items if isinstance(item, Result)}
        opened = [item for item in items if isinstance(item, _Opened)]
        for portion in portions(opened, lambda item: item.pixels, at_most=HELD_PX):
            with pixel_room().hold(sum(item.pixels for item in portion)):
                placed = [self._place(item) for item in portion]
                found.update((item.named.key, item) for item in placed if isinstance(item, Result))
                ready = [item for item in placed if isinstance(item, _Ready)]
                for together in [ready] if self.judges.only else [[item] for item in ready]:
                    found.update((result.named.key, result) for result in self._judge(together))
        return [found[piece.key] for piece in named]

    def _open(self, named: Named) -> _Opened | Result:
        """The file's bytes, and how large a picture they say they are; nothing is decoded yet."""
        source = Source(path=named.key)
        try:
            content = read_file(named.sample.path)
            source = Source.of(named.key, content)
            if source.sha256 == named.known_sha256:
                return Result(named, None)
            info = image_info(content)
            if self.options.refuse_pages and info.pages > 1:
                raise MismatchError(
                    f"{named.sample.path}: holds {info.pages} pages, and only the first would be looked at",
                    path=named.sample.path,
                    hint="save each page as a file of its own",
                )
        except ImageError as error:
            return refused(self.judges, named, source, error)
        except Exception as error:  # noqa: BLE001 - of one picture; the others go on
            return unforeseen(self.judges, named, source, error)
        return _Opened(named, source, content, info.hw)

    def _place(self, item: _Opened) -> _Ready | Result:
        """Ready for the model that judges it, which is found first."""
        inspector: Inspector | None = None
        try:
            start = time.perf_counter()
            chosen = self.judges.choose(item.content)
            inspector, chosen_s = chosen.inspector, time.perf_counter()
            timings = {} if chosen.retrieved is None else {"retrieve_ms": (chosen_s - start) * 1000}
            if inspector is None:
                return of_none(item.named, item.source, chosen, timings)
            inspector.ensure_fits(item.hw, item.named.sample.path)
            placed = place_source(item.content, inspector.placement, keep_original=self.options.save_overlays)
        except ImageError as error:
            return refused(self.judges, item.named, item.source, error, inspector)
        except Exception as error:  # noqa: BLE001 - of one picture; the others go on
            return unforeseen(self.judges, item.named, item.source, error, inspector)
        timings["decode_ms"] = (time.perf_counter() - chosen_s) * 1000
        return _Ready(item.named, item.source, placed, inspector, _found(chosen), timings)

    def _judge(self, ready: Sequence[_Ready]) -> Iterator[Result]:
        """Together; each alone where that goes wrong, so that it is one picture's fault or everybody's.

        With several models each is judged alone: what lies beside it in a folder moves no bit of its score.
        """
        if not ready:
            return
        inspector = ready[0].inspector
        start = time.perf_counter()
        try:
            inspections = inspector.judge(
                np.stack([item.placed.image for item in ready]), [item.placed.size for item in ready]
            )
        except (CancelledError, OutputError):
            raise
        except Exception as error:
            if len(ready) > 1:
                for item in ready:
                    yield from self._judge([item])
                return
            if isinstance(error, KizuError) and not isinstance(error, ScoreError):
                raise
            yield unforeseen(self.judges, ready[0].named, ready[0].source, error, inspector)
            return
        score_ms = (time.perf_counter() - start) * 1000 / len(ready)
        for item in ready:
            yield self._finish(item, inspections, score_ms)

    def _finish(self, item: _Ready, inspections: Iterator[Inspection], score_ms: float) -> Result:
        """The picture's verdict, from the next of `inspections`."""
        start = time.perf_counter()
        try:
            inspection = next(inspections)
            timings = {
                **item.timings,
                "inspect_ms": score_ms + (time.perf_counter() - start) * 1000,
            }
            record = prediction_record(
                str(item.named.sample.path),
                inspection,
                item.inspector.manifest,
                item.inspector.bundle_sha256,
                gt_label=item.named.sample.label,
                timings=timings,
                details=self._save_pictures(item, inspection) | _details(item),
            )
        except OutputError as error:
            if getattr(error.__cause__, "errno", None) not in _OF_ONE_PICTURE:
                raise
            return failure(self.judges, item.named, item.source, error.message, "failed", item.inspector)
        except KizuError as error:
            if not isinstance(error, ScoreError | ImageError):
                raise
            return failure(self.judges, item.named, item.source, error.message, "failed", item.inspector)
        except Exception as error:  # noqa: BLE001 - of one picture; the others go on
            return unforeseen(self.judges, item.named, item.source, error, item.inspector)
        return Result(item.named, record)

    def _save_pictures(self, item: _Ready, inspection: Inspection) -> dict[str, str]:
        saved: dict[str, str] = {}
        if self.options.save_masks:
            path = self.output_dir / "masks" / f"{item.named.name}.png"
            encode_png(path, inspection.mask)
            saved["mask_path"] = str(path)
        original = item.placed.original
        if original is not None:
            path = self.output_dir / "overlays" / f"{item.named.name}.jpg"
            mask = None
            if self.true_mask is not None:
                mask = self.true_mask(item.named.sample, (original.shape[0], original.shape[1]))
            encode_jpeg(path, inspection.overlay(original, true_mask=mask, style=self.options.overlay))
            saved["overlay_path"] = str(path)
            if self.options.save_page:
                is_flawed = item.named.sample.label == "defect"
                layers = draw_layers(inspection, original, mask, is_flawed=is_flawed)
                layers.write(self.output_dir, item.named.name)
        return saved


def _details(item: _Ready) -> dict[str, Any]:
    found: dict[str, Any] = {"source": item.source, **item.found}
    if item.placed.pages > 1:
        found["pages"] = item.placed.pages
    if item.placed.beyond > 0:
        found["beyond_scale"] = item.placed.beyond
    return found


def _found(chosen: Chosen) -> dict[str, Any]:
    if chosen.retrieved is None:
        return {}
    return {"class_name": chosen.retrieved.name, "class_confidence": chosen.retrieved.confidence}
