from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
from pydantic import Field

from kizu.core.config import Config
from kizu.core.errors import ConfigError, KizuError, OutputError
from kizu.core.files import replace_whole, write_json, write_text
from kizu.core.hashing import hash_bytes, hash_file, hash_value
from kizu.core.randomness import rng_for
from kizu.core.registry import look_up


class Knobs(Config):
    coreset: Annotated[float, Field(gt=0, le=1)] = 0.1
    neighbours: int = 9


def test_an_unknown_key_is_an_error_that_names_what_was_meant() -> None:
    with pytest.raises(ConfigError, match=r"run\.yaml: unknown key 'corset' \(did you mean 'coreset'\?\)"):
        Knobs.parse({"corset": 0.2}, where="run.yaml")


def test_a_value_out_of_range_names_the_key_and_the_value() -> None:
    with pytest.raises(ConfigError, match=r"coreset: .* got 1.5"):
        Knobs.parse({"coreset": 1.5}, where="run.yaml")


def test_a_config_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Knobs().coreset = 0.5  # type: ignore[misc]


def test_a_name_nobody_knows_brings_the_nearest_or_all() -> None:
    with pytest.raises(ConfigError) as near:
        look_up({"patchcore": 1, "padim": 2}, "patchcor", noun="detector")
    assert str(near.value) == "unknown detector: 'patchcor'\nhint: did you mean 'patchcore'?"
    with pytest.raises(ConfigError, match="choose one of: padim, patchcore"):
        look_up({"patchcore": 1, "padim": 2}, "xyz", noun="detector")


def test_streams_repeat_and_do_not_touch_each_other() -> None:
    assert rng_for(3, "coreset").random(4) == pytest.approx(rng_for(3, "coreset").random(4))
    draws = {rng_for(seed, purpose).random() for seed in (0, 1) for purpose in ("a", "b")}
    assert len(draws) == 4
    assert rng_for(0, "a", "b").random() != rng_for(0, "ab").random()


def test_hashes_agree_with_each_other_and_ignore_key_order(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"kizu")
    assert hash_file(path) == hash_bytes(b"kizu")
    assert hash_value({"a": 1, "b": [2]}) == hash_value({"b": [2], "a": 1})
    assert hash_value({"a": 1}) != hash_value({"a": 2})


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    write_text(path, "old")

    def fail() -> None:
        with replace_whole(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_what_is_not_a_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*file/report\.json"):
        write_text(tmp_path / "file" / "report.json", "x")


def test_an_error_prints_what_and_what_to_do() -> None:
    assert str(KizuError("what", hint="do")) == "what\nhint: do"
    assert str(KizuError("what")) == "what"
    assert np.isfinite(rng_for(0).random())
