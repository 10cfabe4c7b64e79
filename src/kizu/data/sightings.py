"""Pictures as `siblings` compares them: read, made grey and small, with the moment that the camera noted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kizu.core.errors import ImageError
from kizu.core.threads import in_order
from kizu.core.work import Work
from kizu.data.batches import Source
from kizu.data.evidence import Seen
from kizu.data.likeness import detail_of
from kizu.data.manifest import Sample
from kizu.imaging.codec import decode_grey
from kizu.imaging.detail import grey, moment_taken
from kizu.imaging.pixels import to_rgb
from kizu.imaging.scale import Scale


def see_samples(samples: Sequence[Sample], scale: Scale | None, work: Work = Work()) -> list[Seen]:
    """Those that can be read, in order. `scale`: what numbers deeper than 8 bits mean."""
    return see([sample.id for sample in samples], [sample.path for sample in samples], scale, work)


def see(
    names: Sequence[str], sources: Sequence[Source], scale: Scale | None, work: Work = Work()
) -> list[Seen]:
    """Files or arrays, under their names; what cannot be read is left out, and told by whoever needs it."""
    workers = work.core_count
    found = []
    named = zip(names, sources, strict=True)
    for done, (_, seen) in enumerate(
        in_order(lambda n: _see(*n, scale), named, workers=workers, ahead=4 * workers)
    ):
        if seen is not None:
            found.append(seen)
        work.report("pictures", done + 1, len(names))
    return found


def _see(name: str, source: Source, scale: Scale | None) -> Seen | None:
    if isinstance(source, Sample):
        source = source.path
    if isinstance(source, np.ndarray):
        return Seen(name, detail_of(grey(to_rgb(source, scale=scale))))
    try:
        brightness = decode_grey(source, scale=scale)
    except ImageError:
        return None
    return Seen(name, detail_of(brightness), moment_taken(source) if isinstance(source, Path) else None)
