"""What a product looks like, as a file and as text: whole, unchanged, or refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from kizu.bundles.references import (
    METADATA,
    ProductReferences,
    References,
    VectorMaker,
    read_references,
    references_in,
    write_references,
)
from kizu.core.errors import BundleError, ConfigError
from kizu.imaging.scale import Scale

FACTS = {"limit": 0.2, "margin": 2.0, "false_rejection_rate": 0.01, "images": 120}


def vectors() -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(5, 8))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def references() -> References:
    maker = VectorMaker(backbone="tiny", weights_sha256="0", layers=("a",), image_size=(64, 64))
    scale = Scale(depth="uint16", low=0, high=4095)
    return References(
        run_id="r1", maker=maker, products={"plate": ProductReferences.of(vectors(), scale=scale, **FACTS)}
    )


def test_a_file_and_the_text_of_an_export_give_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "retrieval.json"
    assert read_references(path) is None
    assert references_in({}, where="f") is None
    write_references(path, references())
    text = {METADATA: references().to_json()}
    for found in (read_references(path), references_in(text, where="f")):
        assert found == references()
        np.testing.assert_array_equal(found.products["plate"].array, vectors())


def test_one_changed_number_is_told(tmp_path: Path) -> None:
    path = tmp_path / "retrieval.json"
    write_references(path, references())
    body = json.loads(path.read_text())
    body["products"]["plate"]["limit"] = 9.0
    path.write_text(json.dumps(body))
    with pytest.raises(BundleError, match=r"retrieval.json has changed since it was written") as refused:
        read_references(path)
    assert "kizu index" in str(refused.value.hint)
    for broken in ("{", "[]", json.dumps(body)):
        with pytest.raises(BundleError, match=r"kizu\.retrieval in f"):
            references_in({METADATA: broken}, where="f")


@pytest.mark.parametrize("wrong", [np.ones((2, 3), np.float32), np.full((1, 2), np.nan, np.float32)])
def test_vectors_that_are_no_directions_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ConfigError, match="not of length 1"):
        ProductReferences.of(wrong, **FACTS)


def test_numbers_that_are_missing_are_told() -> None:
    whole = ProductReferences.of(vectors(), **FACTS).model_dump()
    with pytest.raises(ConfigError, match="not 6 of 8 numbers"):
        ProductReferences.parse({**whole, "count": 6}, where="test")
