"""A study's file is closed, and says what is wrong with it."""

from pathlib import Path

import pytest
import yaml

from kizu.core.errors import ConfigError
from kizu.study.conditions import CONDITIONS, Key, Source
from kizu.study.config import StudyConfig
from kizu.study.plan import by_source, list_keys

DATA = [{"name": "a", "root": "sets"}, {"name": "b", "root": "/elsewhere"}, {"name": "c", "layout": "demo"}]


def read(tmp_path: Path, **values: object) -> StudyConfig:
    path = tmp_path / "study.yaml"
    path.write_text(yaml.safe_dump({"data": DATA} | values))
    return StudyConfig.read(path)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"severitys": [1]}, "unknown key 'severitys' (did you mean 'severities'?)"),
        ({"shift": "mvtec_shft"}, "unknown shift: 'mvtec_shft'"),
        ({"conditions": ["clean", "shift"]}, "unknown conditions ['shift']"),
        ({"conditions": ["shifted"]}, "the condition clean is what all others are compared with"),
        ({"severities": [6]}, "severities.0"),
        ({"seeds": [1, 1]}, "two seeds are alike"),
        ({"data": []}, "data"),
        ({"data": [DATA[0], DATA[0]]}, "two categories are alike"),
        ({"data": [{"name": "../x"}]}, "data.0.name"),
        ({"methods": {"x": {"kind": "patchcor"}}}, "did you mean 'patchcore'?"),
        ({"methods": {"x": {"kind": "padim", "featurs": 3}}}, "did you mean 'features'?"),
        (
            {"methods": {"x": {"kind": "padim", "embedding": {"backbon": "tiny"}}}},
            "unknown key 'embedding.backbon'",
        ),
        ({"methods": {"x": {"kind": "padim", "embedding": "tiny"}}}, "embedding must hold settings"),
        ({"methods": {"a/b": {"kind": "padim"}}}, "cannot be the name of a method"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, values: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, **values)
    assert told in str(error.value)
    assert "study.yaml" in str(error.value)


def test_roots_are_relative_to_the_file_or_to_the_data_root(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert [one.root for one in config.data] == [tmp_path / "sets", Path("/elsewhere"), None]
    other = StudyConfig.read(tmp_path / "study.yaml", tmp_path / "data")
    assert other.data[0].root == tmp_path / "data" / "sets"


def test_what_it_writes_is_what_it_reads(tmp_path: Path) -> None:
    config = read(tmp_path, severities=[2], methods={"x": {"kind": "patchcore", "coreset": 0.05}})
    (tmp_path / "again.yaml").write_text(config.to_yaml())
    assert StudyConfig.read(tmp_path / "again.yaml") == config


def test_a_method_may_look_with_another_network_at_another_size(tmp_path: Path) -> None:
    own = {"kind": "patchcore", "embedding": {"backbone": "tiny"}, "image_size": 64}
    config = read(tmp_path, methods={"own": own, "usual": {"kind": "patchcore"}})
    assert config.pipeline("own", 3).embedding.backbone == "tiny"
    assert config.pipeline("own", 3).placement.image_size == (64, 64)
    assert config.pipeline("usual", 3).embedding == config.embedding
    assert config.pipeline("usual", 3).placement.image_size == (256, 256)


def test_the_hash_knows_all_but_the_cache(tmp_path: Path) -> None:
    config = read(tmp_path)
    assert config.sha256() == read(tmp_path, features_mb=1).sha256()
    assert config.sha256() != read(tmp_path, shift_seed=1).sha256()


def test_a_quick_study_is_small_and_keeps_what_was_asked_for(tmp_path: Path) -> None:
    data = [{"name": "a", "most_train": 10}, {"name": "b"}, {"name": "c"}]
    quick = read(tmp_path, data=data, severities=[1, 5]).quick()
    assert [(one.name, one.most_train, one.most_test) for one in quick.data] == [("a", 10, 8), ("b", 24, 8)]
    assert (quick.seeds, quick.severities) == ((42,), (1,))
    assert quick.conditions == tuple(CONDITIONS)


def test_every_trial_has_a_name_of_its_own_and_a_fit(tmp_path: Path) -> None:
    config = read(tmp_path)
    keys = list_keys(config)
    assert len({(k.category, k.method, k.seed, k.name) for k in keys}) == len(keys)
    # A category, method and seed: clean, 2 global clean; at 3 severities 8 more and 2 updates; severity 0 once.
    assert len(keys) == 3 * 3 * 3 * (3 + 3 * (8 + 2)) + 3 * 3
    groups = by_source(keys)
    assert sum(len(k) for sources in groups.values() for k in sources.values()) == len(keys)
    assert set(groups["", "padim", 42]) == {Source("global")}
    assert Source("updated", 5, 20) in groups["a", "padim", 42]


def test_one_category_has_no_model_of_all(tmp_path: Path) -> None:
    keys = list_keys(read(tmp_path, data=DATA[:1]))
    assert not any(CONDITIONS[key.condition].fit == "global" for key in keys)


def test_a_condition_is_compared_with_one_of_the_same_parts() -> None:
    for name, condition in CONDITIONS.items():
        if condition.baseline is None:
            assert name in ("clean", "zero")
            continue
        key = Key("a", "m", 1, name, 3 if condition.has_severity else 0)
        other = key.beside(condition.baseline)
        assert other.severity == (3 if CONDITIONS[condition.baseline].has_severity else 0)
        assert (other.category, other.method, other.seed) == ("a", "m", 1)
