"""Several models on a mixed folder: each picture to its product's, and none where it is nobody's."""

import csv
import json
import os
import pickle
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator
from tests.support import fitted, grain, noise, part_picture, put_bundle, with_flaw

from kizu.bundles.manifest import Bundle
from kizu.bundles.references import FILE, References, write_references
from kizu.core.errors import BundleError, ConfigError, DataError, MismatchError, OutputError
from kizu.core.types import U8
from kizu.core.work import Work
from kizu.data.listing import list_images
from kizu.data.manifest import Sample
from kizu.imaging.codec import encode_png
from kizu.inspection.declared import Declared
from kizu.inspection.folder import FolderResult, FolderRunner
from kizu.inspection.inspector import Inspector
from kizu.inspection.judges import Judges, find_entries, open_judges
from kizu.inspection.mixed import MixedReport
from kizu.inspection.options import FolderOptions
from kizu.inspection.pieces import InspectPieces
from kizu.inspection.records import prediction_record, schema
from kizu.inspection.redecide import Limits, redecide_folder
from kizu.inspection.results import Named
from kizu.lab.references import product_references
from kizu.pipeline.config import PipelineConfig
from kizu.pipeline.vectors import VectorNetwork, vector_maker

STRANGE = noise(5, (64, 64))
PICTURES = {
    "0.png": ("plate", part_picture(60)),
    "1.png": ("grain", grain(61)),
    "sub/0.png": ("plate", with_flaw(part_picture(70), 20, 30)),
    "sub/1.png": ("grain", grain(62)),
    "2.png": (None, STRANGE),
    "3.png": ("plate", part_picture(63)),
}


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs' worth: bundles whose scores differ, each beside what its product looks like."""
    root = tmp_path_factory.mktemp("shelf")
    network = VectorNetwork()
    for name, draw, detector in (
        ("plate", part_picture, {"kind": "patchcore", "coreset": 0.2}),
        ("grain", grain, {"kind": "mahalanobis"}),
    ):
        pictures = [draw(seed) for seed in range(24)]
        values = {"embedding": {"backbone": "tiny"}, "placement": {"image_size": 64}, "detector": detector}
        config = PipelineConfig.parse(values, where="test")
        bundle = fitted(np.stack(pictures), config).bundle
        put_bundle(bundle, root / name / "m", category=name, run_id=name)
        known = product_references(network.vectors(pictures, None), np.arange(24), where=name)
        write_references(
            root / name / FILE, References(run_id=name, maker=vector_maker(), products={name: known})
        )
    return root


@pytest.fixture
def own(shelf: Path, tmp_path: Path) -> Path:
    """The same for this test alone."""
    return Path(shutil.copytree(shelf, tmp_path / "shelf"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, (_, picture) in PICTURES.items():
        encode_png(tmp_path / "in" / name, picture)
    (tmp_path / "in/broken.png").write_bytes(b"nothing")
    os.utime(tmp_path / "in/broken.png", (0, 0))
    return tmp_path / "in"


def judges(shelf: Path) -> Judges:
    return open_judges(find_entries([shelf], "onnxruntime"))


def run(shelf: Path, folder: Path, out: Path, **options: object) -> FolderResult:
    return FolderRunner(judges(shelf), out, FolderOptions.parse(options, where="test")).run(
        list_images(folder)
    )


def standing(out: Path) -> dict[str, dict]:
    """By picture, lines that count."""
    lines = [json.loads(line) for line in (out / "preds.jsonl").read_text().splitlines()]
    found = {Path(line["image_path"]).relative_to(out.parent / "in").as_posix(): line for line in lines
             if not line["superseded"]}  # fmt: skip
    assert len(found) == sum(not line["superseded"] for line in lines)
    return found


def test_each_picture_has_the_verdict_of_its_products_model_alone_bit_for_bit(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(shelf, folder, out, batch_size=8, workers=2)
    lines = standing(out)
    for name, (product, _) in PICTURES.items():
        line = lines[name]
        assert line["class_name"] == product
        if product is None:
            continue
        inspector = Inspector.open(shelf / product / "m")
        wanted = prediction_record(
            line["image_path"],
            inspector.inspect(folder / name),
            inspector.manifest,
            inspector.bundle_sha256,
        ).as_json()
        varies = {"timings", "class_name", "class_confidence", "source", "mask_path", "overlay_path"}
        assert {key: line[key] for key in line if key not in varies} == {
            key: wanted[key] for key in wanted if key not in varies
        }
        assert 0.5 < line["class_confidence"] <= 1
        assert set(line["timings"]) == {"retrieve_ms", "decode_ms", "inspect_ms"}
        FolderRunner(inspector, tmp_path / product).run([Sample(name, folder / name)])
        for made in ("mask_path", "overlay_path"):
            one = tmp_path / product / Path(line[made]).relative_to(out)
            assert Path(line[made]).read_bytes() == one.read_bytes()
    assert {line["label"] for line in lines.values() if "label" in line} == {"OK", "NG", None}


def test_what_is_nobodys_has_no_verdict_no_pictures_and_is_counted(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    done = run(shelf, folder, out, save_csv=True)
    line = standing(out)["2.png"]
    nothing = {name for name, value in line.items() if value is None}
    assert nothing == {
        "class_name", "model", "category", "gt_label", "pred_score", "image_threshold", "label", "is_anomaly",
        "num_defects", "total_defect_area", "defects", "bundle_sha256",
    }  # fmt: skip
    assert line["outcome"] == "unknown"
    assert "none of the products" in line["warning"]
    assert line["class_distance"] > line["class_limit"]
    assert not list(out.rglob("2.png*"))
    assert (done.num_unknown, done.num_failed, done.num_ng) == (1, 1, 1)
    assert done.unknown == (str(folder / "2.png"),)
    assert isinstance(done.report, MixedReport)
    assert (done.report.num_images, done.report.num_unknown, done.report.num_errors) == (5, 1, 1)
    assert done.report.outcomes == {"inspected": 5, "damaged": 1, "unknown": 1}
    told = done.report.told().splitlines()
    assert told[0] == "5 images: 4 OK, 1 NG, 1 of no known product, 1 not inspected"
    assert told[1:] == [
        "grain: 2 images: 2 OK, 0 NG, 0 not inspected",
        "plate: 3 images: 2 OK, 1 NG, 0 not inspected",
    ]
    rows = {
        Path(row["image_path"]).name: row
        for row in csv.DictReader((out / "preds.csv").read_text().splitlines())
    }
    assert (rows["2.png"]["label"], rows["2.png"]["outcome"], rows["2.png"]["category"]) == (
        "",
        "unknown",
        "",
    )
    assert rows["3.png"]["category"] == "plate"


def test_lines_and_report_fit_their_schemas_and_no_other_kind(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    report = run(shelf, folder, tmp_path / "out").report.as_json()
    assert json.loads((tmp_path / "out/report.json").read_text()) == report
    Draft202012Validator(schema("report")).validate(report)
    assert MixedReport.parse(report, where="test").as_json() == report
    validator = Draft202012Validator(schema("preds"))
    lines = standing(tmp_path / "out")
    for line in lines.values():
        validator.validate(line)
    assert not validator.is_valid({**lines["2.png"], "label": "OK"})
    assert not validator.is_valid({**lines["2.png"], "pred_score": 0.1})
    with pytest.raises(ConfigError, match="images are not 6 together"):
        MixedReport.parse({**report, "num_images": 6, "num_ok": 5}, where="test")


def test_the_report_of_a_product_is_that_of_its_pictures_alone(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    mixed = run(shelf, folder, tmp_path / "out").reports["plate"].as_json()
    own = [sample for sample in list_images(folder) if PICTURES.get(sample.id, ("",))[0] == "plate"]
    alone = FolderRunner(Inspector.open(shelf / "plate/m"), tmp_path / "alone").run(own).report.as_json()
    assert alone.pop("num_superseded") == 0
    for told in (mixed, alone):
        told.pop("created_at")
    assert mixed == alone


def test_the_same_call_goes_on_and_looks_at_no_picture_twice(
    shelf: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    samples = list_images(folder)
    FolderRunner(judges(shelf), out).run(samples[:4])
    with (out / "preds.jsonl").open("a") as torn:
        torn.write('{"image_path": "torn')
    done = run(shelf, folder, out)
    assert (done.skipped, done.num_unknown, done.num_failed) == (4, 1, 1)
    before = (out / "preds.jsonl").read_bytes()
    assert len(before.splitlines()) == len(samples)
    monkeypatch.setattr(Judges, "choose", lambda *_: pytest.fail("a picture was looked at again"))
    again = run(shelf, folder, out)
    assert (again.skipped, again.num_ng, again.num_unknown) == (7, 1, 1)
    assert (out / "preds.jsonl").read_bytes() == before
    assert again.report.told() == done.report.told()


def test_a_broken_picture_is_nobodys_and_says_so_without_a_bundle(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    run(shelf, folder, tmp_path / "out")
    line = standing(tmp_path / "out")["broken.png"]
    assert line["outcome"] == "damaged"
    assert not {"bundle_sha256", "category", "class_name", "label"} & line.keys()


def test_a_picture_that_its_products_model_refuses_is_that_products_error(
    shelf: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fits(self: Inspector, size: object, path: Path | None = None) -> None:
        if self.manifest.category == "grain":
            raise MismatchError(f"{path} is of another size")

    monkeypatch.setattr(Inspector, "ensure_fits", fits)
    done = run(shelf, folder, tmp_path / "out")
    line = standing(tmp_path / "out")["1.png"]
    assert (line["outcome"], line["category"]) == ("mismatched", "grain")
    assert line["bundle_sha256"] == Inspector.open(shelf / "grain/m").bundle_sha256
    assert {name: part.num_errors for name, part in done.reports.items()} == {"grain": 2, "plate": 0}
    assert done.report.num_errors == done.num_failed == 3


def test_another_product_in_a_file_of_the_same_name_takes_the_line_with_it(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(shelf, folder, out)
    encode_png(folder / "0.png", grain(90))
    encode_png(folder / "3.png", STRANGE)
    encode_png(folder / "2.png", part_picture(91))
    done = run(shelf, folder, out)
    lines = standing(out)
    assert [lines[name]["class_name"] for name in ("0.png", "3.png", "2.png")] == ["grain", None, "plate"]
    assert {name: part.num_images for name, part in done.reports.items()} == {"grain": 3, "plate": 2}
    assert isinstance(done.report, MixedReport)
    assert (done.report.num_unknown, done.report.num_superseded) == (1, 3)
    assert not list(out.rglob("3.png*"))


class Given:
    """Arrivals as told."""

    def __init__(self, *arrivals: Sequence[Sample]) -> None:
        self.arrivals = arrivals

    def __iter__(self) -> Iterator[Sequence[Sample]]:
        return iter(self.arrivals)

    def put_back(self, sample: Sample, *, after_s: float | None = None) -> None:
        raise AssertionError(sample, after_s)


def test_a_watched_folder_is_told_as_it_comes(shelf: Path, folder: Path, tmp_path: Path) -> None:
    told: list[object] = []
    samples = list_images(folder)
    runner = FolderRunner(judges(shelf), tmp_path / "out")
    done = runner.watch(Given(samples[:2], samples[2:]), told.append)
    assert len(told) == len(samples)
    assert (done.num_ng, done.num_unknown, done.num_failed) == (1, 1, 1)
    assert [line["class_name"] for line in standing(tmp_path / "out").values() if "error" not in line].count(
        None
    ) == 1


def test_another_runtime_names_the_same_products_and_gives_its_own_models_scores(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    pytest.importorskip("openvino")
    work = Work().with_runtime("openvino")
    out = tmp_path / "out"
    opened = open_judges(find_entries([shelf], "openvino"), work=work)
    FolderRunner(opened, out).run(list_images(folder))
    lines = standing(out)
    for name, (product, _) in PICTURES.items():
        assert lines[name]["class_name"] == product
        if product is not None:
            alone = Inspector.open(shelf / product / "m", work=work).inspect(folder / name)
            assert (lines[name]["label"], lines[name]["pred_score"]) == (alone.label, alone.score)


def test_a_worker_elsewhere_says_the_same(shelf: Path, folder: Path, tmp_path: Path) -> None:
    pieces = InspectPieces(judges(shelf), tmp_path, FolderOptions(save_masks=False, save_overlays=False))
    named = [Named(sample, str(sample.path), sample.id, None) for sample in list_images(folder)]
    here, there = (
        [r.record.as_json() | {"timings": 0, "source": 0} for r in make()(named) if r.record is not None]
        for make in (pieces, pickle.loads(pickle.dumps(pieces)))  # noqa: S301 - our own
    )
    assert here == there
    assert len(here) == len(named)


def test_a_model_that_changes_meanwhile_changes_no_verdict_and_is_told_afterwards(
    own: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    opened = judges(own)
    bundle = opened.inspectors["plate"].bundle
    samples = list_images(folder)
    FolderRunner(opened, out).run(samples[:3])
    image = bundle.manifest.thresholds.image.model_copy(update={"value": 0.0})
    thresholds = bundle.manifest.thresholds.model_copy(update={"image": image})
    shutil.rmtree(own / "plate/m")
    put_bundle(bundle, own / "plate/m", thresholds=thresholds)
    FolderRunner(opened, out).run(samples)
    assert {line["bundle_sha256"] for line in standing(out).values() if line.get("category") == "plate"} == {
        bundle.bundle_sha256
    }
    before = (out / "preds.jsonl").read_bytes()
    with pytest.raises(OutputError, match="holds results of another bundle or other options"):
        run(own, folder, out)
    assert (out / "preds.jsonl").read_bytes() == before


def test_other_looks_another_product_more_and_one_model_alone_are_other_results(
    own: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(own, folder, out)
    refused = pytest.raises(OutputError, match="holds results of another bundle or other options")
    with refused:
        FolderRunner(Inspector.open(own / "plate/m"), out).run(list_images(folder))
    with refused:
        FolderRunner(open_judges(find_entries([own / "plate/m"], "onnxruntime")), out).run(
            list_images(folder)
        )
    path = own / "plate" / FILE
    body = json.loads(path.read_text())
    body.pop("sha256")
    body["products"]["plate"]["limit"] += 0.01
    write_references(path, References.parse(body, where="test"))
    with refused:
        run(own, folder, out)


def test_a_call_between_finding_and_opening_a_model_that_changed_is_refused(own: Path) -> None:
    entries = find_entries([own], "onnxruntime")
    bundle: Bundle = Inspector.open(own / "plate/m").bundle
    shutil.rmtree(own / "plate/m")
    put_bundle(bundle, own / "plate/m", seed=9)
    with pytest.raises(BundleError, match="has changed since it was looked at"):
        open_judges(entries)


def test_what_no_picture_can_tell_is_refused(own: Path) -> None:
    shutil.copytree(own / "plate", own / "again")
    with pytest.raises(ConfigError, match="2 models are of plate, and no picture tells which") as refused:
        find_entries([own], "onnxruntime")
    assert str(own / "again/m") in refused.value.message
    shutil.rmtree(own / "again")
    (own / "plate" / FILE).unlink()
    with pytest.raises(ConfigError, match="does not know what plate looks like") as refused:
        find_entries([own], "onnxruntime")
    assert "kizu index" in str(refused.value.hint)


def test_a_model_that_cannot_be_taken_is_not_left_out_in_silence(own: Path, tmp_path: Path) -> None:
    (own / "plate/m/graph.onnx").write_bytes(b"changed")
    with pytest.raises(BundleError, match=r"graph\.onnx has changed since its bundle was written"):
        find_entries([own], "onnxruntime")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BundleError, match="there is no model in"):
        find_entries([tmp_path / "empty"], "onnxruntime")


def test_only_files_are_signed(shelf: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not an exported file, and only those are signed"):
        open_judges(find_entries([shelf], "onnxruntime"), signed_by=tmp_path / "key.pem")


def test_pictures_declared_good_measure_each_products_promise(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    runner = FolderRunner(judges(shelf), tmp_path / "out")
    done = runner.run(list_images(folder), {"plate": Declared(), "grain": Declared()})
    measured = {name: part.assumed_good for name, part in done.reports.items()}
    assert {name: (one.pictures, one.rejected) for name, one in measured.items() if one is not None} == {
        "plate": (3, 1),
        "grain": (2, 0),
    }


def test_no_one_threshold_decides_again_on_several_products(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    run(shelf, folder, tmp_path / "out")
    before = (tmp_path / "out/preds.jsonl").read_bytes()
    with pytest.raises(OutputError, match="several products, whose scores no one threshold decides on"):
        redecide_folder(tmp_path / "out", Limits(1.0), "because")
    assert (tmp_path / "out/preds.jsonl").read_bytes() == before


def test_a_line_that_says_less_than_an_unknown_does_is_none(
    shelf: Path, folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run(shelf, folder, out)
    text = (out / "preds.jsonl").read_text()
    (out / "preds.jsonl").write_text(text.replace('"pred_score": null', '"pred_score": 0.5'))
    with pytest.raises(DataError, match="pred_score"):
        run(shelf, folder, out)


def test_arrays_of_the_two_products_lie_apart(shelf: Path) -> None:
    """What the other tests rest on."""
    both = judges(shelf)
    plate: U8 = part_picture(99)
    assert both.retriever is not None
    assert both.retriever.retrieve(plate).name == "plate"
    assert both.retriever.retrieve(grain(99)).name == "grain"
    assert both.retriever.retrieve(STRANGE).name is None
