"""`kizu serve` as a process of its own, for tests that ask it over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest


class Served:
    """A process that answers."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process, self.address = process, address

    def ask(self, path: str, data: bytes | None = None, **headers: str) -> tuple[int, Any]:
        asked = urllib.request.Request(self.address + path, data, {"content-type": "image/png", **headers})
        try:
            with urllib.request.urlopen(asked, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            status, body = error.code, error.read()
        return status, json.loads(body) if body[:1] in (b"{", b"[") else body.decode()

    def metrics(self) -> dict[str, float]:
        """The service's own, by name and labels as they are written."""
        lines = self.ask("/metrics")[1].splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line.startswith("kizu_"))
        return {name: float(value) for name, value in pairs}

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said


@contextmanager
def services() -> Iterator[Callable[..., Served]]:
    """What starts `kizu serve` on a free port with arguments and variables; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: object, **variables: str) -> Served:
        process = subprocess.Popen(
            [sys.executable, "-m", "kizu", "serve", "--port", "0", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **variables},
        )
        started.append(process)
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            pytest.fail(process.communicate(timeout=30)[1])
        served = Served(process, address)
        until(lambda: served.ask("/ready")[0] == 200)
        return served

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


def until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.05)
