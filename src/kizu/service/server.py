"""The process round the application: one socket, signals, an end that lets finish what runs."""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from logging import getLogger

import uvicorn
from fastapi import FastAPI

from kizu.core.errors import OutputError
from kizu.service.gate import Gate
from kizu.service.settings import ServeSettings

_BACKLOG = 256
_KEEP_ALIVE_S = 15
_HEADER_BYTES = 32 << 10
_log = getLogger("kizu.service.server")


def listen(settings: ServeSettings) -> socket.socket:
    """A socket that is bound, so that a port that is taken is told before models are opened. Raises `OutputError`."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    # By name: only of a socket that says TCP does the loop send small packets at once, and not 40 ms later.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((settings.host, settings.port))
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise OutputError(
            f"cannot listen on {settings.host}, port {settings.port}: {error.strerror or error}",
            hint="choose another --port, or stop what has it",
        ) from error
    return made


def address_of(listening: socket.socket) -> str:
    """Where a browser finds it."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(
    app: FastAPI, settings: ServeSettings, listening: socket.socket, on_ready: Callable[[], None]
) -> None:
    """Answer until SIGTERM or Ctrl-C; then finish what runs, refuse the rest, and return."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="on",
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(settings.grace_s),
        limit_concurrency=settings.max_connections,
        h11_max_incomplete_event_size=_HEADER_BYTES,
    )
    _Server(config, app.state.service.gate, on_ready).run(sockets=[listening])


class _Server(uvicorn.Server):
    """It ends by returning: the library's raises the signal again, and the process would end by it."""

    def __init__(self, config: uvicorn.Config, gate: Gate, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._gate, self._on_ready = gate, on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As the library's; then whoever waits is told."""
        await super().startup(sockets)
        self._on_ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Both signals close the gate first, so that what waits is refused at once."""
        loop = asyncio.get_running_loop()
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

        def stop(number: int) -> None:
            name, gate = signal.Signals(number).name, self._gate
            _log.info("stopping signal=%s running=%d waiting=%d", name, gate.running, gate.waiting.total())
            self._gate.close()
            self.should_exit = True

        for number in before:
            signal.signal(number, lambda got, _: loop.call_soon_threadsafe(stop, got))
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
