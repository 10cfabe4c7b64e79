"""Randomness is an argument: one independent stream for each purpose, all from one seed."""

import hashlib

import numpy as np


def rng_for(seed: int, *purpose: str) -> np.random.Generator:
    """A generator that depends on `seed` and the words of `purpose`, and on nothing else.

    Streams of different purposes are independent, so adding one draw to one purpose never shifts another.
    """
    digest = hashlib.sha256("\x1f".join(purpose).encode()).digest()
    words = np.frombuffer(digest[:16], dtype="<u4").tolist()
    return np.random.default_rng(np.random.SeedSequence([seed, *words]))
