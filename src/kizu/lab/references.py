"""What a run's product looks like: from good pictures to references, and the limit beyond which it is another one."""

from collections.abc import Mapping, Sequence

import numpy as np

from kizu.bundles.references import ProductReferences, References
from kizu.core.errors import DataError
from kizu.core.types import F32, I64
from kizu.core.work import Work
from kizu.data.manifest import Sample, read_manifest
from kizu.data.splits import blocks_of
from kizu.decision.conformal import conformal, tightest_rate
from kizu.decision.good_scores import GoodScores
from kizu.imaging.scale import Scale
from kizu.lab.held_out import read_sides
from kizu.pipeline.vectors import VectorNetwork, vector_maker
from kizu.runs.folder import RunFolder
from kizu.scoring.references import distances_left_out, spread_evenly

REFERENCES = 48
"""Kept of each product."""
PICTURES = 256
"""At most so many are looked at, evenly spread over what there is."""
FALSE_REJECTION_RATE = 0.01
MARGIN = 0.08
"""Flawed parts look otherwise than good ones, and a flaw adds to a distance what it adds, however alike the good ones
are: without a margin a quarter of them would be of no product, with it one in a hundred (docs/retrieval.md)."""


def make_references(folder: RunFolder, work: Work = Work()) -> References:
    """From the good pictures that the version in force has learned or was calibrated on.

    Raises `DataError` where one is gone, or there are fewer than two of a category, `ImageError` where one cannot be
    read, `MissingExtraError` without the network's weights.
    """
    manifest = folder.open_bundle().manifest
    network = VectorNetwork(work)
    products: dict[str, ProductReferences] = {}
    for category, samples in _pictures(folder).items():
        some = [samples[i] for i in spread_evenly(len(samples), PICTURES)]
        missing = next((sample for sample in some if not sample.path.is_file()), None)
        if missing is not None:
            raise DataError(
                f"{missing.path}, which the run was trained on, is gone",
                hint="put the data set back where it was",
            )
        vectors = network.vectors(some, manifest.placement.scale)
        products[category] = product_references(
            vectors, np.array(blocks_of(some)), scale=manifest.placement.scale, where=category
        )
    return References(run_id=manifest.run_id, maker=vector_maker(), products=products)


def product_references(
    vectors: F32, groups: I64, *, scale: Scale | None = None, where: str
) -> ProductReferences:
    """From unit vectors (N, D) of good pictures, in `groups` (N,) that may not be parted.

    Each is compared with references that are not of its group. One that is a reference itself has fewer of them than a
    new picture has, so its distance is no shorter for that, and the promise is kept (as for monotone scores of groups
    that were left out, docs/decisions/0029). Raises `DataError` where all pictures are of one group.
    """
    picks = spread_evenly(len(vectors), REFERENCES)
    distances = distances_left_out(vectors, groups, picks)
    if not np.isfinite(distances).all():
        raise DataError(
            f"the good pictures of {where} are all of one part: nothing tells how far others may lie",
            hint="pictures of two parts at least; 100 and more make a limit worth having",
        )
    good = GoodScores.of(distances, groups, left_out=True, monotone=True)
    rate = tightest_rate(good, FALSE_REJECTION_RATE)
    return ProductReferences.of(
        vectors[picks],
        scale=scale,
        limit=conformal(good, rate).value + MARGIN,
        margin=MARGIN,
        false_rejection_rate=rate,
        images=len(vectors),
    )


def _pictures(folder: RunFolder) -> Mapping[str, Sequence[Sample]]:
    """By category, each picture once, in the order of the data set, and those that updates added after them."""
    manifest = read_manifest(folder.manifest)
    fit, held = read_sides(folder)
    learned = {sample.id for sample in (*fit, *held)}
    own = [sample for sample in manifest.train_good() if sample.id in learned]
    known = {sample.id for sample in manifest.samples}
    added = [sample for sample in fit if sample.id not in known]
    if not manifest.parts:
        return {manifest.category: [*own, *added]}
    return {name: [s for s in own if s.id.startswith(f"{name}/")] for name in manifest.parts}
