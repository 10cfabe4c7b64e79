"""A doctor that finds what is wrong, and a first config that trains."""

import json
from pathlib import Path

import pytest
from tests.support import ask, part_picture

import kizu.tasks.doctor as module
from kizu.core.errors import BackboneError, OutputError
from kizu.core.work import Work
from kizu.imaging.codec import encode_png
from kizu.lab.train import RunConfig
from kizu.tasks.doctor import diagnose
from kizu.tasks.init import COMMENTS, write_config
from kizu.tasks.set_options import InitOptions


def test_a_sound_machine_is_well_and_says_what_it_has(tmp_path: Path) -> None:
    found = {one.name: one for one in diagnose(tmp_path, Work()).findings}
    assert all(one.is_well for one in found.values()), found
    assert found["self-test, onnxruntime"].said.startswith("a flaw was found where it is")
    assert "numpy" in found["packages"].said


def test_what_does_not_work_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BackboneError("its weights are gone")

    monkeypatch.setattr(module, "fit", broken)
    found = diagnose(tmp_path, Work())
    assert not found.is_well
    wrong = {one.name: one.said for one in found.findings if not one.is_well}
    assert "weights" in wrong
    assert "its weights are gone" in wrong["self-test, onnxruntime"]


def test_a_flaw_that_is_not_seen_fails_the_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    same = module._pictures(9)
    monkeypatch.setattr(module.np, "unravel_index", lambda *_: (0, 0))
    assert len(same) == 9
    is_well, told = module._try(Work())
    assert not is_well
    assert "not as it should" in told


def test_init_writes_what_trains_with_a_word_on_each_part(tmp_path: Path) -> None:
    for seed in range(5):
        encode_png(tmp_path / "parts" / "good" / f"{seed}.png", part_picture(seed))
    options = InitOptions(tmp_path / "parts", output=tmp_path / "kizu.yaml")
    made = write_config(options, Work())
    text = made.path.read_text()
    assert "5 good pictures to learn from" in text
    assert all(f"# {comment}" in text for key, comment in COMMENTS.items() if f"\n{key}:" in text)
    config = RunConfig.read(made.path)
    assert (config.data.layout, config.data.root) == ("folder", tmp_path / "parts")
    assert config.model_copy(update={"data": RunConfig().data}) == RunConfig()
    with pytest.raises(OutputError, match="is there already"):
        write_config(options, Work())
    write_config(InitOptions(tmp_path / "parts", output=tmp_path / "kizu.yaml", overwrite=True), Work())


def test_the_doctor_answers_in_json_too() -> None:
    told = json.loads(ask("doctor", "--json").stdout)
    assert told["kizu"]["is_well"]
