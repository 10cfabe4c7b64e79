"""Embeddings that were computed once are read again, bit for bit, and never take more room than was given."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from kizu.backbones.features import FeatureCache, cache_size, clean_cache, feature_cache
from kizu.backbones.graph import Embedder, build_embedder
from kizu.backbones.store import load_backbone
from kizu.core.errors import ConfigError
from kizu.core.work import FEATURES_VARIABLE, Work

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KIZU_CACHE", str(tmp_path))
    monkeypatch.setenv("KIZU_FEATURES_MB", "50")
    return tmp_path / "features"


@pytest.fixture
def graph() -> bytes:
    backbone = load_backbone("tiny")
    layers = [backbone.spec.layers[0].name]
    content: bytes = build_embedder(backbone, layers=layers, normalisation="native").SerializeToString()
    return content


def count_runs(embedder: Embedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    runs: list[int] = []
    computed = embedder._compute
    monkeypatch.setattr(embedder, "_compute", lambda images: (runs.append(len(images)), computed(images))[1])
    return runs


def test_what_was_computed_once_is_read_and_is_the_same(
    graph: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KIZU_FEATURES_MB", "0")
    expected = Embedder(graph).embed(IMAGES)
    monkeypatch.setenv("KIZU_FEATURES_MB", "50")
    first, second = Embedder(graph), Embedder(graph)
    runs = count_runs(second, monkeypatch)
    assert np.array_equal(first.embed(IMAGES[:2]), expected[:2])
    assert np.array_equal(second.embed(IMAGES), expected)
    assert runs == [1]
    assert np.array_equal(second.embed(IMAGES[::-1]), expected[::-1])
    assert runs == [1]
    assert cache_size().entries == 3


def test_another_graph_does_not_read_it(graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    Embedder(graph).embed(IMAGES)
    backbone = load_backbone("tiny")
    pooled = build_embedder(
        backbone, layers=[backbone.spec.layers[0].name], normalisation="native", patch_size=5
    )
    other = Embedder(pooled.SerializeToString())
    runs = count_runs(other, monkeypatch)
    other.embed(IMAGES)
    assert runs == [3]


def test_the_oldest_go_when_the_room_is_used_up(folder: Path) -> None:
    entry = np.zeros((16, 16, 16), np.float32)
    bytes_each = entry.nbytes + 128 + 64  # the header, and the hash
    kept = FeatureCache(folder, 10 * bytes_each)
    keys = [kept.key("graph", np.full((2, 2, 3), n, np.uint8)) for n in range(14)]
    for number, key in enumerate(keys[:10]):
        kept.put(key, entry + number)
        os.utime(kept._path(key), (number, number))
    assert kept.get(keys[0]) is not None  # used now: no longer the oldest
    kept.put(keys[10], entry)
    there = [number for number, key in enumerate(keys) if kept._path(key).exists()]
    assert there == [0, 3, 4, 5, 6, 7, 8, 9, 10]
    assert cache_size().bytes <= 10 * bytes_each
    again = FeatureCache(folder, 10 * bytes_each)
    for key in keys[11:]:
        again.put(key, entry)
    assert cache_size().bytes <= 10 * bytes_each


def cut(content: bytes) -> bytes:
    return content[:100]


def flip(content: bytes) -> bytes:
    """One bit, in a number: it is an array as before, of another picture."""
    return content[:-200] + bytes([content[-200] ^ 1]) + content[-199:]


def blank(content: bytes) -> bytes:
    return bytes(len(content))


@pytest.mark.parametrize("damage", [cut, flip, blank, bytes.lower])
def test_a_damaged_entry_is_computed_again(graph: bytes, damage: Callable[[bytes], bytes]) -> None:
    expected = Embedder(graph).embed(IMAGES)
    entries = list(cache_size().folder.glob("*/*.npy"))
    assert len(entries) == len(IMAGES)
    for path in entries:
        path.write_bytes(damage(path.read_bytes()))
    assert np.array_equal(Embedder(graph).embed(IMAGES), expected)


def test_a_folder_that_cannot_be_written_costs_nothing_but_time(graph: bytes, folder: Path) -> None:
    folder.write_text("a file is in the way")
    assert len(Embedder(graph).embed(IMAGES)) == 3


def test_cleaning_leaves_nothing(graph: bytes, folder: Path) -> None:
    Embedder(graph).embed(IMAGES)
    clean_cache()
    assert not folder.exists()
    assert cache_size().entries == 0
    clean_cache()


def test_it_is_off_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", "0"):
        monkeypatch.setenv(FEATURES_VARIABLE, value)
        assert feature_cache(Work().features_budget()) is None
    monkeypatch.delenv(FEATURES_VARIABLE)
    assert feature_cache(Work().features_budget()) is None
    monkeypatch.setenv(FEATURES_VARIABLE, "much")
    with pytest.raises(ConfigError, match="much"):
        Work().features_budget()
