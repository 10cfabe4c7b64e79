"""Which network a state dict is, told by its tensors."""

import numpy as np
import pytest
from tests.support import resnet_weights

from kizu.backbones import resnet
from kizu.backbones.architectures import FAMILIES, architectures, draw, layers_of, recognise
from kizu.backbones.publishers import fetchable
from kizu.backbones.resnet import Variant
from kizu.core.errors import BackboneError, ConfigError

SMALL = {
    "shallow": Variant((1, 1, 1, 1), bottleneck=False, stem=4),
    "deep": Variant((1, 2, 1, 1), bottleneck=False, stem=4),
    "broad": Variant((1, 1, 1, 1), bottleneck=False, stem=8),
}


@pytest.fixture(autouse=True)
def small(monkeypatch):
    for name, variant in SMALL.items():
        monkeypatch.setitem(resnet.VARIANTS, name, variant)


@pytest.mark.parametrize("name", SMALL)
def test_each_is_recognised_also_without_a_head(name):
    weights = resnet_weights(SMALL[name])
    assert recognise(weights)[0] == name
    assert recognise({key: values for key, values in weights.items() if not key.startswith("fc.")})[0] == name


def test_every_architecture_has_layers_from_fine_to_coarse():
    assert set(FAMILIES)
    for name in architectures():
        strides = [layer.stride for layer in layers_of(name)]
        assert strides == sorted(strides)
        assert strides


def test_what_can_be_fetched_can_be_drawn():
    assert {published.architecture for published in fetchable().values()} <= set(architectures())
    assert "resnet50" in fetchable()


def test_tensors_without_a_place_are_never_passed_over():
    weights = resnet_weights(SMALL["shallow"])
    weights["layer2.0.se.fc1.weight"] = np.zeros((2, 8, 1, 1), np.float32)
    with pytest.raises(
        BackboneError, match=r"of shallow, the nearest: it has no place for 'layer2\.0\.se\.fc1\.weight'"
    ):
        recognise(weights)
    with pytest.raises(BackboneError, match=r"no place for 'layer2\.0\.se\.fc1\.weight' \(2, 8, 1, 1\)"):
        draw("shallow", weights)


def test_a_smaller_network_is_not_drawn_from_a_larger_ones_weights():
    with pytest.raises(BackboneError, match=r"no place for 'layer2\.1\.conv1\.weight' .* and \d+ more"):
        draw("shallow", resnet_weights(SMALL["deep"]))


def test_what_is_missing_to_the_nearest_is_told():
    weights = resnet_weights(SMALL["deep"])
    del weights["layer4.0.bn2.bias"]
    with pytest.raises(
        BackboneError, match=r"of deep, the nearest: the weights have no tensor 'layer4\.0\.bn2\.bias'"
    ):
        recognise(weights)


def test_networks_that_only_their_names_tell_apart_are_asked_for(monkeypatch):
    monkeypatch.setitem(resnet.VARIANTS, "twin", SMALL["shallow"])
    with pytest.raises(BackboneError, match="fit shallow and twin") as caught:
        recognise(resnet_weights(SMALL["shallow"]))
    assert "--arch" in caught.value.hint


def test_tensors_of_something_else_are_refused_with_what_there_is():
    with pytest.raises(BackboneError, match="no network that can be drawn") as caught:
        recognise({"embedding.weight": np.zeros((3, 3), np.float32)})
    assert "resnet50" in caught.value.hint


def test_an_unknown_architecture_says_what_was_meant():
    with pytest.raises(ConfigError, match="did you mean 'resnet50'"):
        draw("resnet5O", {})
    with pytest.raises(ConfigError, match="did you mean 'resnet50'"):
        layers_of("resnet5O")
