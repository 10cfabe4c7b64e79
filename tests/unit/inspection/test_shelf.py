"""Many models on one shelf: named apart, opened once, within a budget, exchanged in use, found by a picture."""

import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tests.support import CONFIG, fitted, grain, part_picture, with_flaw
from tests.support import put_bundle as put

import kizu.inspection.open_models as open_models
from kizu.bundles.manifest import Bundle
from kizu.bundles.references import FILE, References, write_references
from kizu.core.errors import BundleError, ConfigError, ImageError, KizuError
from kizu.core.types import U8
from kizu.decision.calibration import Thresholds
from kizu.decision.policy import PolicyConfig
from kizu.imaging.codec import Limits, encode_png
from kizu.inspection.inspector import Inspector
from kizu.inspection.shelf import Looking, Shelf
from kizu.inspection.shelf_models import Problem
from kizu.lab.references import make_references, product_references
from kizu.lab.versions import Change, put_thresholds, roll_back
from kizu.pipeline.vectors import VectorNetwork, vector_maker
from kizu.runs.folder import RunFolder

FLAWED = with_flaw(part_picture(70), 20, 30)


@pytest.fixture(scope="module")
def bundle(good_pictures: U8) -> Bundle:
    return fitted(good_pictures).bundle


def with_threshold(bundle: Bundle, value: float) -> Thresholds:
    image = bundle.manifest.thresholds.image.model_copy(update={"value": value})
    return bundle.manifest.thresholds.model_copy(update={"image": image})


def change_threshold(run: RunFolder, value: float) -> None:
    """Another version in force, whose verdicts are others."""
    with run.locked() as still_there:
        bundle = run.open_bundle()
        change = Change(with_threshold(bundle, value), bundle.manifest.calibration, by_hand=("image",))
        put_thresholds(run, bundle, change, f"to {value}", still_there)


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: object, name: str) -> list[object]:
    calls: list[object] = []
    original: Callable[..., object] = getattr(owner, name)

    def counted(*given: object, **options: object) -> object:
        calls.append(given)
        return original(*given, **options)

    monkeypatch.setattr(owner, name, counted)
    return calls


def test_each_says_what_it_is_and_no_network_is_opened(
    bundle: Bundle, run: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_models, "SharedEmbedder", None)
    put(bundle, tmp_path / "shelf" / "deep" / "lid", category="lid", run_id="r7", version=3)
    shelf = Shelf.open([run.path, tmp_path / "shelf"])
    plate, lid = shelf.models()
    assert (plate.name, plate.kind, plate.path, plate.version) == ("plate", "run", run.path, 1)
    assert plate.sha256 == run.open_bundle().bundle_sha256
    assert plate.thresholds == run.open_bundle().manifest.thresholds
    assert (lid.name, lid.kind, lid.method, lid.backbone) == ("lid", "bundle", "patchcore", "tiny")
    assert (lid.version, lid.run_id, lid.can_be_retrieved) == (3, "r7", False)
    on_disk = sum(file.stat().st_size for file in lid.path.rglob("*") if file.is_file())
    assert lid.size_bytes == on_disk
    assert shelf.problems() == ()


def test_several_of_one_category_are_named_apart_and_found_by_what_tells_them(
    bundle: Bundle, tmp_path: Path
) -> None:
    put(bundle, tmp_path / "a", run_id="r1", version=1)
    put(bundle, tmp_path / "b", run_id="r2", version=4)
    put(bundle, tmp_path / "c", category="lid")
    shelf = Shelf.open([tmp_path])
    assert [model.name for model in shelf.models()] == ["plate@r1/1", "plate@r2/4", "lid"]
    assert shelf.find("plate@r2/4").path == shelf.find("plate@r2").path == tmp_path / "b"
    with pytest.raises(ConfigError, match="2 models are called 'plate'") as refused:
        shelf.find("plate")
    assert refused.value.hint == "name one: plate@r1/1, plate@r2/4"
    with pytest.raises(ConfigError, match="no model on the shelf is called 'lit'") as refused:
        shelf.inspect(FLAWED, name="lit")
    assert refused.value.hint == "did you mean 'lid'?"


def test_copies_are_told_apart_by_their_place_and_one_place_counts_once(
    bundle: Bundle, tmp_path: Path
) -> None:
    for name in ("a", "b"):
        put(bundle, tmp_path / name)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    (tmp_path / "round").symlink_to(tmp_path)
    names = [model.name for model in Shelf.open([tmp_path, tmp_path / "a"]).models()]
    assert names == [f"plate@r1/1:{tmp_path / name}" for name in ("a", "b")]


def test_a_broken_model_is_told_and_hides_no_other(bundle: Bundle, tmp_path: Path) -> None:
    put(bundle, tmp_path / "good")
    broken = put(bundle, tmp_path / "broken", category="lid")
    (broken / "graph.onnx").write_bytes(b"changed")
    (tmp_path / "stray.onnx").write_bytes(b"no model")
    (tmp_path / "notes.xml").write_text("<a/>")
    shelf = Shelf.open([tmp_path, tmp_path / "missing"])
    assert [model.name for model in shelf.models()] == ["plate"]
    told = {problem.path.name: problem.message for problem in shelf.problems()}
    assert set(told) == {"broken", "stray.onnx", "missing"}
    assert "graph.onnx has changed since its bundle was written" in told["broken"]


def test_a_shelf_without_one_model_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no model in"):
        Shelf.open([tmp_path])
    with pytest.raises(BundleError, match="missing is no run, bundle"):
        Shelf.open([tmp_path / "missing"])


def test_two_threads_that_want_one_model_open_it_once(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = count_calls(monkeypatch, open_models, "open_pipeline")
    put(bundle, tmp_path / "a")
    wanted = Inspector(bundle).inspect(FLAWED)
    with Shelf.open([tmp_path]) as shelf, ThreadPoolExecutor(8) as pool:
        begin = threading.Barrier(8)

        def ask(_: int) -> float:
            begin.wait()
            found = shelf.inspect(FLAWED, name="plate").inspection
            assert found is not None
            return found.score

        assert set(pool.map(ask, range(8))) == {wanted.score}
    assert len(opened) == 1


def test_who_waits_for_a_model_that_cannot_be_opened_is_told_and_the_next_one_tries_again(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bundle, tmp_path / "a")
    shelf = Shelf.open([tmp_path])
    with monkeypatch.context() as broken:
        broken.setattr(open_models, "open_pipeline", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
        for _ in range(2):
            with pytest.raises(MemoryError):
                shelf.inspect(FLAWED, name="plate")
    assert shelf.inspect(FLAWED, name="plate").inspection is not None


def test_models_with_one_graph_share_a_network_and_pass_a_picture_through_it_once(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("lid", "plate", "rim")
    for name in names:
        put(bundle, tmp_path / name, category=name, thresholds=with_threshold(bundle, len(name)))
    shelf = Shelf.open([tmp_path])
    shelf.warm()
    assert len(shelf._models._networks) == 1
    passes = count_calls(monkeypatch, open_models.Embedder, "embed")
    found = shelf.inspect_each(FLAWED, names)
    assert len(passes) == 1
    for name, one in zip(names, found, strict=True):
        alone = Inspector.open(tmp_path / name).inspect(FLAWED)
        assert one.model == shelf.find(name)
        assert one.inspection is not None
        assert (one.inspection.score, one.inspection.threshold) == (alone.score, len(name))
        np.testing.assert_array_equal(one.inspection.map, alone.map)
    passes.clear()
    del found
    shelf.inspect(FLAWED, name="lid")
    shelf.inspect(FLAWED, name="lid")
    assert len(passes) == 2  # nothing is kept from one request for another


@pytest.fixture
def growing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A process that grows by 5 MB whenever it is looked at: a model takes 10 MB with its network."""
    grown = iter(range(10**6))
    monkeypatch.setattr(open_models, "memory_in_use", lambda: next(grown) * (5 << 20))
    return iter(())


@pytest.mark.usefixtures("growing")
def test_open_models_keep_to_the_memory_and_what_was_used_last_stays(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = CONFIG.changed({"embedding": {"normalisation": "half"}}, where="test")
    for number in range(4):
        own = bundle if number % 2 else fitted(np.stack([part_picture(s) for s in range(20)]), other).bundle
        put(own, tmp_path / f"m{number}", category=f"m{number}")
    opened = count_calls(monkeypatch, open_models, "open_pipeline")
    shelf = Shelf.open([tmp_path], memory_mb=20)
    for _ in range(2):
        for number in (0, 1, 0, 2, 0, 3):
            found = shelf.inspect(FLAWED, name=f"m{number}").inspection
            assert found is not None
            assert found.score == Inspector.open(tmp_path / f"m{number}").inspect(FLAWED).score
            assert shelf._models.size_bytes <= 20 << 20
            assert shelf._models.is_open(shelf._contents.entries["m0"])
    assert len(opened) > 4


@pytest.mark.usefixtures("growing")
def test_a_model_that_is_larger_than_the_memory_is_used_all_the_same(bundle: Bundle, tmp_path: Path) -> None:
    for name in ("a", "b"):
        put(bundle, tmp_path / name, category=name)
    shelf = Shelf.open([tmp_path], memory_mb=1)
    for name in ("a", "b", "a"):
        assert shelf.inspect(FLAWED, name=name).inspection is not None
        assert [shelf._models.is_open(entry) for entry in shelf._contents.entries.values()] == [
            name == "a",
            name == "b",
        ]
    shelf.warm()  # ends, though not all of them fit


def test_models_that_push_each_other_out_judge_rightly_under_load(bundle: Bundle, tmp_path: Path) -> None:
    """Room for one of three, eight threads, and a look at the folder now and then."""
    names = ("a", "b", "c")
    for value, name in enumerate(names):
        put(bundle, tmp_path / name, category=name, thresholds=with_threshold(bundle, float(value)))
    shelf = Shelf.open([tmp_path], memory_mb=0)
    score = Inspector(bundle).inspect(FLAWED).score

    def ask(number: int) -> None:
        if number % 10 == 0:
            assert shelf.refresh() == ()
        found = shelf.inspect(FLAWED, name=names[number % 3])
        assert found.model == shelf.find(names[number % 3])
        assert found.inspection is not None
        assert (found.inspection.score, found.inspection.threshold) == (score, float(number % 3))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(120)))
    assert sum(map(shelf._models.is_open, shelf._contents.entries.values())) == 1


def test_a_new_version_comes_without_a_dropped_request_and_each_verdict_is_of_one_version(
    run: RunFolder,
) -> None:
    """Threads ask without a pause while the version in force changes twenty times."""
    shelf = Shelf.open([run.path])
    score = Inspector.open(run.path).inspect(FLAWED).score
    verdicts: list[tuple[str, float]] = []
    failures: list[BaseException] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            try:
                found = shelf.inspect(FLAWED, name="plate")
                assert found.model is not None
                assert found.inspection is not None
                assert found.inspection.score == score
                assert found.inspection.threshold == found.model.thresholds.image.value
                verdicts.append((found.inspection.label, found.inspection.threshold))
            except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
                failures.append(error)
                return

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for step in range(20):
            if step % 4 == 3:
                roll_back(run)
            else:
                change_threshold(run, score + (1 + step if step % 2 else -1 / (1 + step)))
            assert shelf.refresh() == ("plate",)
            assert shelf.find("plate").sha256 == run.open_bundle().bundle_sha256
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert {label for label, _ in verdicts} == {"OK", "NG"}
    assert len({threshold for _, threshold in verdicts}) > 5
    assert shelf.refresh() == ()


def test_a_broken_new_version_leaves_the_old_one_in_service(run: RunFolder) -> None:
    shelf = Shelf.open([run.path])
    before = shelf.inspect(FLAWED, name="plate")
    change_threshold(run, 99.0)
    (run.bundle / "bundle.json").write_text("{}")
    assert shelf.refresh() == ()
    assert [problem.path for problem in shelf.problems()] == [run.path]
    after = shelf.inspect(FLAWED, name="plate")
    assert after.model == before.model
    assert after.inspection is not None
    assert after.inspection.threshold != 99.0


def test_models_that_come_and_go_in_a_watched_folder_are_named(bundle: Bundle, tmp_path: Path) -> None:
    put(bundle, tmp_path / "a")
    shelf = Shelf.open([tmp_path])
    put(bundle, tmp_path / "b", category="lid")
    assert shelf.refresh() == ("lid",)
    assert shelf.inspect(FLAWED, name="lid").model == shelf.find("lid")
    shutil.rmtree(tmp_path / "a")
    assert shelf.refresh() == ("plate",)
    assert [model.name for model in shelf.models()] == ["lid"]
    shutil.rmtree(tmp_path)  # a share that is away: what is open goes on
    assert shelf.refresh() == ()
    assert shelf.problems()[0] == Problem(
        tmp_path, f"{tmp_path} is no run, bundle, exported file or folder of them", "check the path"
    )
    assert shelf.inspect(FLAWED, name="lid").inspection is not None


def test_a_bundle_that_was_replaced_is_taken_as_it_is_now(bundle: Bundle, tmp_path: Path) -> None:
    """Nobody has called refresh, and it is not open yet."""
    put(bundle, tmp_path / "a")
    shelf = Shelf.open([tmp_path])
    shutil.rmtree(tmp_path / "a")
    put(bundle, tmp_path / "a", thresholds=with_threshold(bundle, 77.0))
    found = shelf.inspect(FLAWED, name="plate")
    assert found.inspection is not None
    assert found.model is not None
    assert found.inspection.threshold == found.model.thresholds.image.value == 77.0


def test_a_closed_shelf_says_so(bundle: Bundle, tmp_path: Path) -> None:
    put(bundle, tmp_path / "a")
    with Shelf.open([tmp_path]) as shelf:
        shelf.warm()
    for asked in (lambda: shelf.inspect(FLAWED, name="plate"), shelf.refresh, shelf.warm):
        with pytest.raises(ConfigError, match="the shelf is closed"):
            asked()
    assert shelf._models.size_bytes == 0


@pytest.fixture(scope="module")
def products() -> References:
    network = VectorNetwork()
    drawn = {
        "plate": [part_picture(seed, 64) for seed in range(16)],
        "grain": [grain(seed) for seed in range(16)],
    }
    return References(
        run_id="r1",
        maker=vector_maker(),
        products={
            name: product_references(network.vectors(pictures, None), np.arange(16), where=name)
            for name, pictures in drawn.items()
        },
    )


def indexed(bundle: Bundle, products: References, root: Path, *names: str) -> None:
    """For each name a bundle in a folder of its own, and beside it what its product looks like."""
    for name in names:
        put(bundle, root / name / "m", category=name)
        own = products.model_copy(update={"products": {name: products.products[name]}})
        write_references(root / name / FILE, own)


def test_a_picture_finds_its_product_good_or_flawed_as_file_bytes_or_array(
    bundle: Bundle, products: References, tmp_path: Path
) -> None:
    indexed(bundle, products, tmp_path / "shelf", "plate", "grain")
    path = tmp_path / "picture.png"
    encode_png(path, FLAWED)
    with Shelf.open([tmp_path / "shelf"]) as shelf:
        shelf.warm()
        wanted = shelf.inspect(FLAWED, name="plate").inspection
        for picture in (FLAWED, path, str(path), path.read_bytes()):
            found = shelf.inspect(picture)
            assert found.model == shelf.find("plate")
            assert found.retrieved is not None
            assert found.retrieved.name == "plate"
            assert 0.5 < found.retrieved.confidence <= 1
            assert found.retrieved.distance <= found.retrieved.limit
            assert found.inspection is not None
            assert wanted is not None
            assert (found.inspection.label, found.inspection.score) == (wanted.label, wanted.score)
        assert shelf.inspect(grain(50)).model == shelf.find("grain")


def test_an_unknown_product_is_nobodys_and_is_not_judged(
    bundle: Bundle, products: References, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    indexed(bundle, products, tmp_path, "plate")
    shelf = Shelf.open([tmp_path])
    opened = count_calls(monkeypatch, open_models, "open_pipeline")
    found = shelf.inspect(grain(50))
    assert (found.model, found.inspection) == (None, None)
    assert found.retrieved is not None
    assert found.retrieved.name is None
    assert found.retrieved.distance > found.retrieved.limit
    assert opened == []


def test_what_cannot_be_told_by_a_picture_must_be_named(
    bundle: Bundle, products: References, tmp_path: Path
) -> None:
    for name in ("lid", "rim"):
        put(bundle, tmp_path / name, category=name)
    with pytest.raises(ConfigError, match="knows what its product looks like") as refused:
        Shelf.open([tmp_path]).inspect(FLAWED)
    assert "kizu index" in (refused.value.hint or "")
    indexed(bundle, products, tmp_path, "plate")
    put(bundle, tmp_path / "again", run_id="r2")
    shelf = Shelf.open([tmp_path])
    with pytest.raises(ConfigError, match="2 models are called 'plate'"):
        shelf.inspect(FLAWED)
    assert shelf.inspect(FLAWED, name="plate@r2").inspection is not None


def test_a_model_that_is_alone_and_knows_no_product_takes_every_picture(
    bundle: Bundle, tmp_path: Path
) -> None:
    put(bundle, tmp_path / "bare")
    found = Shelf.open([tmp_path]).inspect(grain(50))
    assert found.retrieved is None
    assert found.inspection is not None
    assert found.inspection.score == Inspector(bundle).inspect(grain(50)).score


def test_a_threshold_of_ones_own_is_for_one_picture(bundle: Bundle, tmp_path: Path) -> None:
    put(bundle, tmp_path / "a")
    shelf = Shelf.open([tmp_path])
    plain, own = shelf.inspect(FLAWED).inspection, shelf.inspect(FLAWED, threshold=1e6).inspection
    assert plain is not None
    assert own is not None
    assert (plain.label, own.label, own.threshold, own.score) == ("NG", "OK", 1e6, plain.score)
    again = shelf.inspect(FLAWED).inspection
    assert again is not None
    assert again.threshold == plain.threshold


def test_how_others_are_looked_at_and_what_decoding_may_take_hold_for_all(
    bundle: Bundle, products: References, tmp_path: Path
) -> None:
    indexed(bundle, products, tmp_path, "plate", "grain")
    strict, lax = Looking(PolicyConfig(min_defect_area=10**6)), Looking()
    shelf = Shelf.open(
        [tmp_path], looking={"plate": lax}, otherwise=strict, limits=Limits(max_pixels=64 * 64 - 1)
    )
    flawed = [shelf.inspect(FLAWED, name=name).inspection for name in ("plate", "grain")]
    assert [len(one.regions) > 0 for one in flawed if one is not None] == [True, False]
    encode_png(tmp_path / "large.png", FLAWED)
    for name in (None, "plate"):
        with pytest.raises(ImageError, match="4,095 allowed"):
            shelf.inspect(tmp_path / "large.png", name=name)
    with pytest.raises(ImageError, match="4,095 allowed"):
        shelf.inspect_each(tmp_path / "large.png", ["plate"])


def test_one_of_each_is_kept_and_what_is_in_use_goes_first(bundle: Bundle, tmp_path: Path) -> None:
    put(bundle, tmp_path / "b")
    shelf = Shelf.open([tmp_path], one_of_each=True)
    put(bundle, tmp_path / "a", run_id="r2")
    assert shelf.refresh() == ()
    assert [problem.path for problem in shelf.problems()] == [tmp_path / "a"]
    assert shelf.find("plate").path == tmp_path / "b"
    shutil.rmtree(tmp_path / "b")
    assert shelf.refresh() == ("plate",)
    assert shelf.problems() == ()
    assert shelf.find("plate").run_id == "r2"
    put(bundle, tmp_path / "b")
    with pytest.raises(BundleError, match="both are of plate"):
        Shelf.open([tmp_path], one_of_each=True)


def test_references_of_another_run_or_version_are_not_taken(
    bundle: Bundle, products: References, tmp_path: Path
) -> None:
    indexed(bundle, products, tmp_path, "plate")
    assert Shelf.open([tmp_path]).find("plate").can_be_retrieved
    write_references(tmp_path / "plate" / FILE, products.model_copy(update={"run_id": "r2"}))
    assert not Shelf.open([tmp_path]).find("plate").can_be_retrieved
    maker = products.maker.model_copy(update={"image_size": (99, 99)})
    write_references(tmp_path / "plate" / FILE, products.model_copy(update={"maker": maker}))
    assert not Shelf.open([tmp_path]).find("plate").can_be_retrieved


def test_a_run_that_gets_its_references_later_can_be_retrieved_after_a_refresh(run: RunFolder) -> None:
    shelf = Shelf.open([run.path])
    assert not shelf.find("plate").can_be_retrieved
    write_references(run.retrieval, make_references(run))
    assert shelf.refresh() == ("plate",)
    found = shelf.inspect(part_picture(13))
    assert found.retrieved is not None
    assert (found.retrieved.name, found.model) == ("plate", shelf.find("plate"))


def test_errors_of_a_picture_are_its_own(bundle: Bundle, tmp_path: Path) -> None:
    put(bundle, tmp_path / "a")
    shelf = Shelf.open([tmp_path])
    for picture in (b"no picture", tmp_path / "missing.png"):
        with pytest.raises(KizuError, match=r"image bytes|missing.png"):
            shelf.inspect(picture, name="plate")
    assert shelf.problems() == ()
