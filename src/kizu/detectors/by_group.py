"""Images whose groups are told, scored group by group."""

from collections.abc import Callable

import numpy as np

from kizu.core.types import I64, Scores


def score_by_group(groups: I64, score: Callable[[I64], Scores]) -> Scores:
    """What `score` says of the rows of each group by themselves; of all images whose `groups` (N,) are told, in their
    order."""
    rows = [np.flatnonzero(groups == number) for number in np.unique(groups)]
    found = [score(own) for own in rows]
    places = np.argsort(np.concatenate(rows))
    image = np.concatenate([scores.image for scores in found])
    maps = np.concatenate([scores.maps for scores in found])
    return Scores(image[places], maps[places])
