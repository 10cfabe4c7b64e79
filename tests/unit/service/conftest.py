"""A service over a tiny run, in this process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient

from kizu.runs.folder import RunFolder
from kizu.service.app import make_app
from kizu.service.models import OpenedRuns
from kizu.service.settings import ServeSettings

Start = Callable[..., TestClient]


@pytest.fixture(scope="module")
def plate(trained_plate: Path) -> RunFolder:
    """The shared run, which nobody changes."""
    (config,) = (trained_plate / "runs").rglob("config.yaml")
    return RunFolder(config.parent)


@pytest.fixture
def start(plate: RunFolder) -> Iterator[Start]:
    """Starts a service with these settings; all of them end with the test."""
    with ExitStack() as stack:

        def begin(models: Any = None, **settings: Any) -> TestClient:
            told = ServeSettings.parse({"runs": [str(plate.path)], **settings}, where="test")
            app = make_app(told, models or OpenedRuns(told))
            return stack.enter_context(
                TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
            )

        yield begin


@pytest.fixture
def client(start: Start) -> TestClient:
    """Everything as it is by default."""
    return start()
