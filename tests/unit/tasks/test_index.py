"""What a product looks like is kept with a run: at the training, later, after an update, and in what is exported."""

from pathlib import Path

import pytest
from tests.support import ask, category, part_picture, with_flaw

import kizu.lab.references as references
from kizu.bundles.references import read_references
from kizu.core.errors import MissingExtraError
from kizu.core.work import Work
from kizu.imaging.codec import encode_png
from kizu.inspection.shelf import Shelf
from kizu.release.export import Format, Precision, export_run
from kizu.runs.folder import RunFolder
from kizu.tasks.index import index
from kizu.tasks.lab_options import PipelineOptions, RunOptions
from kizu.tasks.line_options import UpdateOptions
from kizu.tasks.options import DataOptions
from kizu.tasks.train import train
from kizu.tasks.update import update


def trained(root: Path, work: Work = Work()) -> RunFolder:
    pipeline = PipelineOptions(backbone="tiny", image_size="64", method="padim")
    data = DataOptions(root=root / "data", category="plate")
    return train(pipeline, data, RunOptions(output_dir=root / "runs", run_id="r1"), work).folder


def test_a_training_keeps_it_and_the_run_is_found_by_a_picture(tmp_path: Path) -> None:
    category(tmp_path / "data", "plate", 0)
    folder = trained(tmp_path)
    found = folder.read_references()
    assert found is not None
    assert (found.run_id, list(found.products), found.products["plate"].images) == ("r1", ["plate"], 12)
    for picture in (part_picture(50), with_flaw(part_picture(51), 20, 24)):
        assert Shelf.open([tmp_path / "runs"]).inspect(picture).model is not None


def test_a_training_without_the_network_for_it_ends_well_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(work: Work) -> None:
        raise MissingExtraError("no weights", hint="pip install")

    monkeypatch.setattr(references, "VectorNetwork", missing)
    category(tmp_path / "data", "plate", 0)
    notes: list[str] = []
    folder = trained(tmp_path, Work(on_note=notes.append))
    assert folder.read_references() is None
    assert "pictures will not be told to be of this product: no weights" in notes


def test_an_old_run_gets_it_and_its_bundle_stays_what_it_was(run: RunFolder) -> None:
    before = run.open_bundle().bundle_sha256
    done = ask("index", run.path)
    assert done.stdout.strip() == str(run.path / "retrieval.json")
    assert "plate: 12 references; at most 0.077 of good pictures lie farther off than" in done.stderr
    first = run.retrieval.read_bytes()
    ask("index", run.path)
    assert run.retrieval.read_bytes() == first
    assert run.open_bundle().bundle_sha256 == before


def test_an_update_adds_its_pictures_where_there_are_references(run: RunFolder, tmp_path: Path) -> None:
    for number in range(3):
        encode_png(tmp_path / "more" / f"{number}.png", part_picture(80 + number))
    update(run.path, UpdateOptions(tmp_path / "more", "another lot"), Work())
    assert run.read_references() is None
    index(run.path, Work())
    encode_png(tmp_path / "more" / "4.png", part_picture(90))
    update(run.path, UpdateOptions(tmp_path / "more", "one more"), Work())
    found = run.read_references()
    assert found is not None
    assert found.products["plate"].images == 16


def test_an_update_without_the_old_pictures_keeps_what_was_and_says_so(
    run: RunFolder, tmp_path: Path
) -> None:
    index(run.path, Work())
    before = run.retrieval.read_bytes()
    learned = min(set(run.read_meta().fit) - set(run.read_meta().calibration))
    (run.path.parents[3] / "data" / "plate" / learned).unlink()
    encode_png(tmp_path / "more" / "0.png", part_picture(80))
    notes: list[str] = []
    update(run.path, UpdateOptions(tmp_path / "more", "another lot"), Work(on_note=notes.append))
    assert run.retrieval.read_bytes() == before
    assert any("knows nothing of the new pictures" in note for note in notes)


@pytest.mark.parametrize(("to", "precision"), [("onnx", "f32"), ("onnx", "f16"), ("openvino", "f32")])
def test_an_exported_file_carries_it_wherever_it_is_taken(
    run: RunFolder, tmp_path: Path, to: Format, precision: Precision
) -> None:
    index(run.path, Work())
    export_run(run, to=to, output_dir=tmp_path / "out", precision=precision)
    work = Work("openvino" if to == "openvino" else "onnxruntime")
    with Shelf.open([tmp_path / "out"], work=work) as shelf:
        (model,) = shelf.models()
        assert (model.kind, model.can_be_retrieved) == ("exported", True)
        found = shelf.inspect(with_flaw(part_picture(51), 20, 24))
        assert found.model == model
        assert found.inspection is not None
    assert read_references(run.retrieval) is not None
