"""The methods: a new one is a file here and a line in this table. Nothing heavy is imported until one is looked up."""

from collections.abc import Mapping
from typing import NamedTuple


class Entry(NamedTuple):
    """A method that has a name."""

    module: str
    """Where its `METHOD` is."""
    wants: str
    """The pictures it is for."""
    costs: str


DETECTORS: Mapping[str, Entry] = {
    "patchcore": Entry(
        "kizu.detectors.patchcore",
        "anything; parts may move and turn",
        "a bank that grows with the images; see [benchmarks](benchmarks.md)",
    ),
    "padim": Entry(
        "kizu.detectors.padim",
        "parts that lie alike in every picture",
        "a fixed model; with `covariance: low_rank` or `diagonal`, or fewer `features`, a smaller one",
    ),
    "mahalanobis": Entry(
        "kizu.detectors.mahalanobis",
        "flaws that change the whole picture; its map is coarse",
        "the smallest and quickest",
    ),
    "patch_knn": Entry(
        "kizu.detectors.patch_knn",
        "very few good pictures",
        "every good patch, unless `coreset` says otherwise",
    ),
    "subspace": Entry(
        "kizu.detectors.subspace",
        "the least to ship: two small arrays",
        "less sharp than a bank",
    ),
    "discriminative": Entry(
        "kizu.detectors.discriminative",
        "labelled defects beside good pictures; without any it learns from painted ones",
        "a small network; painting doubles the time of a fit",
    ),
    "ensemble": Entry(
        "kizu.detectors.ensemble",
        "the best of several: PatchCore and PaDiM, or the `members` you name",
        "what its members cost together",
    ),
}
