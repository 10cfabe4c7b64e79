"""A service over a tiny run, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kizu.runs.folder import RunFolder
from kizu.service.settings import ServeSettings

if TYPE_CHECKING:  # the extra `serve` may be missing: the tests then say so, each for itself
    from starlette.testclient import TestClient

    Start = Callable[..., TestClient]


@pytest.fixture(scope="module")
def plate(trained_plate: Path) -> RunFolder:
    """The shared run, which nobody changes."""
    (config,) = (trained_plate / "runs").rglob("config.yaml")
    return RunFolder(config.parent)


@pytest.fixture
def start(plate: RunFolder) -> Iterator[Start]:
    """Starts a service with these settings; all of them end with the test."""
    from starlette.testclient import TestClient

    from kizu.service.app import make_app
    from kizu.service.opening import open_shelf

    with ExitStack() as stack:

        def begin(**settings: Any) -> TestClient:
            told = ServeSettings.parse({"runs": [str(plate.path)], **settings}, where="test")
            app = make_app(told, open_shelf(told))
            client = TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)
            return stack.enter_context(client)

        yield begin


@pytest.fixture
def client(start: Start) -> TestClient:
    """Everything as it is by default."""
    return start()
