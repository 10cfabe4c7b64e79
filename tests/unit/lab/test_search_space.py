"""What is tried: every look and method once, the nearest to the default first."""

import pytest
from tests.support import BASE

from kizu.backbones.store import load_spec
from kizu.core.errors import ConfigError, MissingExtraError
from kizu.detectors import DETECTORS
from kizu.detectors.registry import method
from kizu.lab.search_space import (
    default_contender,
    installed_backbones,
    layer_sets,
    list_contenders,
    list_methods,
    list_settings,
)

PICTURES = [(64, 64)] * 3


def test_layers_are_the_own_choice_a_finer_one_and_each_alone() -> None:
    assert layer_sets(load_spec("efficientnet_lite0")) == [
        ("blocks.2", "blocks.4"),
        ("blocks.1", "blocks.2", "blocks.4"),
        ("blocks.2",),
        ("blocks.4",),
    ]


@pytest.mark.parametrize("kind", sorted(DETECTORS))
def test_settings_are_a_method_s_own_and_each_is_valid(kind: str) -> None:
    settings = list_settings(kind)
    assert settings[0] == {}
    assert all(one not in settings[:place] for place, one in enumerate(settings))
    assert all(candidate.detector in settings for candidate in method(kind).candidates)
    for one in settings:
        assert BASE.with_detector(kind, one).detector.kind == kind


def test_methods_without_candidates_are_not_searched() -> None:
    assert set(list_methods()) == {kind for kind in DETECTORS if method(kind).candidates}
    assert list_methods()[0] == "patchcore"


def test_the_default_comes_first_and_departures_grow() -> None:
    found = list_contenders(BASE, ["tiny"], PICTURES, squares=(32, 64))
    assert found[0].config == default_contender(BASE).config
    steps = [one.departures for one in found]
    assert steps == sorted(steps)
    assert len({one.config.model_dump_json() for one in found}) == len(found)
    assert len(found) == 4 * 2 * len(list_methods())


def test_no_look_has_patches_that_do_not_cover_it() -> None:
    base = BASE.changed({"placement": {"image_size": 72}}, where="test")
    for one in list_contenders(base, ["tiny"], PICTURES, squares=(32,)):
        layers = load_spec("tiny").choose(one.look.embedding.layers or ())
        assert all(side % layer.stride == 0 for layer in layers for side in one.look.placement.image_size)


def test_settings_keep_the_look_and_are_told() -> None:
    one = default_contender(BASE).with_settings({"coreset": 0.1})
    assert one.config.detector.coreset == 0.1  # type: ignore[attr-defined]
    assert "coreset 0.1" in one.name
    assert "tiny blocks.1+blocks.2 64x64" in one.name


def test_what_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    import kizu.lab.search_space as module

    def load(name: str) -> None:
        if name != "tiny":
            raise MissingExtraError("not there", hint=f"pip install {name}")

    monkeypatch.setattr(module, "load_backbone", load)
    there, absent = installed_backbones("tiny")
    assert there == ["tiny"]
    assert absent["efficientnet_lite2"] == "pip install efficientnet_lite2"
    with pytest.raises(ConfigError, match="none of these backbones"):
        installed_backbones("tiny", ["efficientnet_lite1"])
