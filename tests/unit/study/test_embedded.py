"""The vectors of the report's map are those of the network, made once."""

from pathlib import Path

import numpy as np
import pytest

from kizu.core.errors import DataError
from kizu.core.work import Work
from kizu.data.batches import stream
from kizu.pipeline.fitting import UnfittedPipeline
from kizu.study import embedded
from kizu.study.conditions import Key
from kizu.study.embedded import read_embedded, write_embedded
from kizu.study.pictures import write_pictures
from kizu.study.run import Study


def test_a_vector_is_the_mean_over_patches_of_a_test_picture(study: Study) -> None:
    found = read_embedded(study.folder, "plate")
    assert found is not None
    record = study.records[Key("plate", "patchcore", 1, "clean")]
    count = len(record.ids)
    assert found.shifted.tolist() == [False] * count + [True] * count
    assert found.defective.tolist() == record.defective.tolist() * 2
    pictures = write_pictures(study.config, study.config.data[0], study.folder, Work(cores=1))
    (sample,) = [s for s in pictures.shifted["mvtec_shift", 3].samples if s.id == record.ids[1]]
    unfitted = UnfittedPipeline.prepare(study.config.pipeline("patchcore", 1), Work(cores=1))
    (batch,) = stream([sample], unfitted.config.placement)
    expected = unfitted.embedder.embed(batch.images)[0].reshape(-1, found.vectors.shape[1]).mean(axis=0)
    assert np.allclose(found.vectors[count + 1], expected, atol=1e-5)


def test_it_is_made_once_and_anew_where_it_is_broken(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = write_pictures(study.config, study.config.data[0], study.folder, Work(cores=1))
    path = study.folder / "embedded/plate.npz"
    before = path.read_bytes()
    path.write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot be read"):
        read_embedded(study.folder, "plate")
    write_embedded(study.config, pictures, study.folder, Work(cores=1))
    assert path.read_bytes() == before
    monkeypatch.setattr(embedded, "stream", lambda *_: pytest.fail("looked again"))
    write_embedded(study.config, pictures, study.folder, Work(cores=1))


def test_where_none_was_kept_there_is_none(tmp_path: Path) -> None:
    assert read_embedded(tmp_path, "plate") is None
