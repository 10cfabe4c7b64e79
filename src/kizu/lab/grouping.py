"""Before a cut: which good pictures belong together, so that every group ends up on one side."""

from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kizu.core.errors import ImageError
from kizu.core.work import Work
from kizu.data.depth import scale_of
from kizu.data.evidence import Siblings
from kizu.data.manifest import Manifest, Sample
from kizu.data.siblings import SURE, find_siblings
from kizu.data.sightings import see, see_samples
from kizu.imaging.placement import PlacementConfig
from kizu.imaging.scale import Scale

_WORDS = {
    "detail": "nearly all of their fine detail is the same",
    "series": "much of it is, and they were taken one after the other",
    "rare": "much of it is, as of hardly any others",
}
_KEPT = 8
"""Sets whose siblings are remembered: a study cuts the same one for every candidate and seed."""
_known: OrderedDict[tuple[tuple[Sample, ...], Scale | None], Siblings] = OrderedDict()


def group_good(
    manifest: Manifest, placement: PlacementConfig, *, with_defects: bool = False, work: Work = Work()
) -> Manifest:
    """A hashed manifest whose good training samples have the groups that are found; of several categories in each.
    `with_defects`: and the labelled defects of the training split, in the same groups.

    What was found is noted in a line. Where groups were given to any of them they hold, and nothing is looked for: who
    gives groups knows better.
    """
    good = manifest.train_good()
    if len(good) < 2 or any(sample.group is not None for sample in good):
        return manifest
    for part in [manifest.part(name) for name in manifest.parts] or [manifest]:
        seen = part.train_good() + (part.train_defects() if with_defects else ())
        found = find_good_siblings(seen, placement.scale, work)
        manifest = manifest.with_found_groups(_tell(found, len(seen), work))
    return manifest


def group_pictures(
    sources: Mapping[str, Path | NDArray[Any]], scale: Scale | None, work: Work = Work()
) -> dict[str, str]:
    """The group of each good picture, file or array, that has siblings; both by name. Noted as by `group_good`."""
    seen = see(list(sources), list(sources.values()), scale, work)
    return _tell(find_siblings(seen, work=work), len(sources), work)


def _tell(found: Siblings, count: int, work: Work) -> dict[str, str]:
    """The groups of `count` pictures by name, noted. All in one cannot be cut: then there are none, which is noted."""
    if found.common >= SURE or any(len(group) == count for group in found.groups):
        work.note(
            f"all {count} good images seem to show one part: then none is independent, and no promise holds for other"
            " parts; they are cut as they are"
        )
        return {}
    if found.groups:
        work.note(tell_groups(found))
    return found.group_of()


def find_good_siblings(samples: Sequence[Sample], scale: Scale | None, work: Work = Work()) -> Siblings:
    """The siblings among hashed samples; remembered, since they follow from the images."""
    key = tuple(samples), scale
    if key not in _known:
        try:
            chosen = None if scale is not None or not samples else scale_of(samples)
        except ImageError:  # of several depths: whoever fits says so
            return Siblings((), (), ())
        seen = see_samples(samples, scale if chosen is None else chosen.scale, work)
        with work.limit():
            _known[key] = find_siblings(seen, work=work)
        while len(_known) > _KEPT:
            _known.popitem(last=False)
    return _known[key]


def tell_groups(found: Siblings) -> str:
    """How many groups, of which sizes, found by which clue."""
    sizes = Counter(map(len, found.groups))
    told = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items(), reverse=True))
    clues = Counter(pair.clue for pair in found.joined)
    why = "; ".join(f"{clues[clue]} times {words}" for clue, words in _WORDS.items() if clues[clue])  # type: ignore[index]
    return f"images of one part stay on one side: groups {told} images ({why}); --group none parts them"
