"""From a method's name to what it is made of."""

from importlib import import_module
from typing import Any

from kizu.core.errors import ConfigError
from kizu.core.registry import look_up
from kizu.detectors import DETECTORS
from kizu.detectors.base import Detector, DetectorConfig, Method


def method(kind: str) -> Method:
    """What the module of that name in `DETECTORS` offers. Raises `ConfigError` naming the nearest one."""
    found = import_module(look_up(DETECTORS, kind, noun="detector").module).METHOD
    assert isinstance(found, Method)
    return found


def detector_config(values: Any, *, where: str = "detector") -> DetectorConfig:
    """Settings of the method that `values["kind"]` names. Raises `ConfigError` for an unknown method or key."""
    if isinstance(values, DetectorConfig):
        return values
    if not isinstance(values, dict) or "kind" not in values:
        raise ConfigError(
            f"{where}: the key 'kind' is missing", hint=f"one of: {', '.join(sorted(DETECTORS))}"
        )
    return method(str(values["kind"])).config.parse(values, where=where)


def make_detector(config: DetectorConfig) -> Detector:
    """The method these settings are for."""
    return method(config.kind).detector(config)
