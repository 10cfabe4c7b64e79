"""What a worker does with a few pictures, all the way from file to record: whatever goes wrong with one becomes its own
record, and only what concerns all of them is raised."""

import errno
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from logging import getLogger
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
    UnreadableError,
)
from kizu.core.room import pixel_room, portions
from kizu.core.types import HW, Bool
from kizu.data.batches import Placed, place_source
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_jpeg, encode_png, image_info
from kizu.imaging.opening import FileContent, read_file
from kizu.inspection.inspector import Inspection, Inspector
from kizu.inspection.layers import draw_layers
from kizu.inspection.options import FolderOptions
from kizu.inspection.records import Record, error_record, prediction_record
from kizu.inspection.report import Outcome
from kizu.inspection.source import Source

TrueMask = Callable[[Sample, HW], Bool | None]
"""Where a sample of this size (H, W) is really flawed, (H, W); None: nobody knows."""

SETTLED_S = 10.0
"""A file that is no picture and was written so shortly ago may become one."""
HELD_PX = 4_000_000
"""Pictures that wait for the network together hold about so many pixels; a larger one goes alone."""
_OF_ONE_PICTURE = frozenset({errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EILSEQ, errno.EINVAL})
"""Errors of writing that another picture would not meet."""
_log = getLogger(__name__)


class Named(NamedTuple):
    """A picture to inspect; what is decided of it before the work is shared out."""

    sample: Sample
    key: str
    """Which picture it is: its absolute path."""
    name: str
    """What its mask and overlay are called."""
    known_sha256: str | None
    """The content that it was judged with before."""


class Result(NamedTuple):
    """What came of one picture."""

    named: Named
    record: Record | None
    """None: its content is the one that was judged before."""
    may_pass: bool = False
    """Whether trying again soon may help."""


class _Opened(NamedTuple):
    named: Named
    source: Source
    content: FileContent
    pixels: int


class _Ready(NamedTuple):
    named: Named
    source: Source
    placed: Placed
    decode_ms: float


@dataclass(frozen=True, slots=True)
class InspectPieces:
    """Makes what a worker does with a few images; it can be pickled, and opens its inspector where it arrives."""

    inspector: Inspector
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
                found.update((result.named.key, result) for result in self._judge(ready))
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
            self.inspector.ensure_fits(info.hw, named.sample.path)
            if self.options.refuse_pages and info.pages > 1:
                raise MismatchError(
                    f"{named.sample.path}: holds {info.pages} pages, and only the first would be looked at",
                    path=named.sample.path,
                    hint="save each page as a file of its own",
                )
        except ImageError as error:
            return self._refused(named, source, error)
        except Exception as error:  # noqa: BLE001 - of one picture; the others go on
            return self._unforeseen(named, source, error)
        return _Opened(named, source, content, info.hw[0] * info.hw[1])

    def _place(self, item: _Opened) -> _Ready | Result:
        start = time.perf_counter()
        try:
            placed = place_source(
                item.content, self.inspector.placement, keep_original=self.options.save_overlays
            )
        except ImageError as error:
            return self._refused(item.named, item.source, error)
        except Exception as error:  # noqa: BLE001 - of one picture; the others go on
            return self._unforeseen(item.named, item.source, error)
        return _Ready(item.named, item.source, placed, (time.perf_counter() - start) * 1000)

    def _judge(self, ready: Sequence[_Ready]) -> Iterator[Result]:
        """Together; each alone where that goes wrong, so that it is one picture's fault or everybody's."""
        if not ready:
            return
        start = time.perf_counter()
        try:
            inspections = self.inspector.judge(
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
            yield self._unforeseen(ready[0].named, ready[0].source, error)
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
                "decode_ms": item.decode_ms,
                "inspect_ms": score_ms + (time.perf_counter() - start) * 1000,
            }
            record = prediction_record(
                str(item.named.sample.path),
                inspection,
                self.inspector.manifest,
                self.inspector.bundle_sha256,
                gt_label=item.named.sample.label,
                timings=timings,
                details=self._save_pictures(item, inspection) | _details(item),
            )
        except OutputError as error:
            if getattr(error.__cause__, "errno", None) not in _OF_ONE_PICTURE:
                raise
            return self._failure(item.named, item.source, error.message, "failed")
        except KizuError as error:
            if not isinstance(error, ScoreError | ImageError):
                raise
            return self._failure(item.named, item.source, error.message, "failed")
        except Exception as error:  # noqa: BLE001 - of one picture; the others go on
            return self._unforeseen(item.named, item.source, error)
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

    def _refused(self, named: Named, source: Source, error: ImageError) -> Result:
        """No picture, not whole yet, or not to be read now."""
        if isinstance(error, UnreadableError):
            return self._failure(named, source, error.message, "unreadable", may_pass=_may_pass(error))
        if isinstance(error, MismatchError):
            return self._failure(named, source, error.message, "mismatched")
        age_s = (time.time_ns() - (source.mtime_ns or 0)) / 1e9
        outcome: Outcome = "unfinished" if age_s < SETTLED_S else "damaged"
        return self._failure(named, source, error.message, outcome, may_pass=outcome == "unfinished")

    def _failure(
        self, named: Named, source: Source, message: str, outcome: Outcome, *, may_pass: bool = False
    ) -> Result:
        record = error_record(
            str(named.sample.path), message, self.inspector.bundle_sha256, outcome=outcome, source=source
        )
        return Result(named, record, may_pass)

    def _unforeseen(self, named: Named, source: Source, error: Exception) -> Result:
        _log.warning("picture failed path=%s", named.sample.path, exc_info=error)
        told = f"{named.sample.path}: {type(error).__name__}: {error}"
        if isinstance(error, MemoryError):
            return self._failure(named, source, f"{told} (no memory)", "unreadable", may_pass=True)
        return self._failure(named, source, told, "failed")


def _details(item: _Ready) -> dict[str, Any]:
    found: dict[str, Any] = {"source": item.source}
    if item.placed.pages > 1:
        found["pages"] = item.placed.pages
    if item.placed.beyond > 0:
        found["beyond_scale"] = item.placed.beyond
    return found


def _may_pass(error: UnreadableError) -> bool:
    """Not where the file itself is missing or locked up in a folder that is there; the next call looks again."""
    if isinstance(error.__cause__, PermissionError):
        return False
    return not isinstance(error.__cause__, FileNotFoundError) or not (
        error.path is not None and error.path.parent.is_dir()
    )
