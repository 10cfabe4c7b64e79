"""Which of several products a picture shows: a vector for it, a few known ones for each product, and a vote."""

from dataclasses import dataclass

import numpy as np

from kizu.core.types import F32, F64, I64

NEIGHBOURS = 3
"""References that vote. 1 to 9 name the product equally well (docs/retrieval.md)."""


@dataclass(frozen=True, slots=True)
class Vote:
    """What the nearest references say."""

    owner: int
    """Whose they are."""
    confidence: float
    """The owner's part of the similarities of those that vote; 0..1"""
    distance: float
    """1 - cos to the owner's nearest reference; 0..2"""


def pool(embedding: F32) -> F32:
    """Patch embeddings (N, h, w, D) -> one unit vector for each picture (N, 2 D): mean and standard deviation of each
    channel. A picture without any feature becomes the zero vector, which is like nothing."""
    patches = embedding.reshape(len(embedding), -1, embedding.shape[-1])  # (N, P, D)
    vectors = np.concatenate([patches.mean(axis=1), patches.std(axis=1)], axis=1)  # (N, 2 D)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: F32 = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return unit


def spread_evenly(count: int, most: int) -> I64:
    """At most `most` of the indices 0 .. `count` - 1, evenly spread, first and last among them."""
    return np.unique(np.rint(np.linspace(0, count - 1, min(count, most))).astype(np.int64))


def distances_left_out(vectors: F32, groups: I64, picks: I64) -> F64:
    """Of unit vectors (N, D), each one's distance to the nearest of the `picks` among them that is not of its own
    group (N,); infinite where there is none."""
    similar = (vectors @ vectors[picks].T).astype(np.float64)  # (N, K)
    similar[groups[:, None] == groups[picks][None]] = -np.inf
    distances: F64 = np.maximum(1 - similar.max(axis=1), 0)
    return distances


def vote(similar: F32, owners: I64, count: int = NEIGHBOURS) -> Vote:
    """What the `count` nearest of K references say of a picture.

    `similar`: (K,) their cosines, K >= 1; `owners`: (K,) from 0 on. Each votes with its similarity, and what is at
    right angles or worse does not. Where one owner has fewer references than `count`, so many vote: a product with few
    pictures is not outvoted. Among equals the owner of the nearest wins, then the lowest.
    """
    own = np.bincount(owners)
    nearest = np.argsort(-similar, kind="stable")[: min(count, int(own[own > 0].min()))]
    votes = np.bincount(owners[nearest], weights=np.maximum(similar[nearest], 0), minlength=len(own))
    winner = int(owners[nearest[0]])
    if votes.max() > votes[winner]:
        winner = int(votes.argmax())
    total = float(votes.sum())
    distance = 1 - float(similar[owners == winner].max())
    return Vote(winner, float(votes[winner]) / total if total > 0 else 0.0, max(distance, 0.0))
