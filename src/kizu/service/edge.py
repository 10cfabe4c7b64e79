"""Round every request: its id, its line in the log, its place in the counters, and an answer whatever happens."""

import json
import re
import time
import uuid
from logging import getLogger
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kizu.core.text import one_line
from kizu.service.problems import MEDIA_TYPE, ProblemError
from kizu.service.telemetry import Telemetry

REQUEST_ID = "x-request-id"
GONE = 499
"""In log and counters, of a client that went away before there was an answer."""
_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_LONGEST = 200
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_log = getLogger("kizu.service.requests")


class Edge:
    """The outermost layer of ours."""

    def __init__(self, app: ASGIApp, telemetry: Telemetry) -> None:
        self._app, self._telemetry = app, telemetry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        told: dict[str, Any] = {}
        """What the answer is about, for the log."""
        scope.setdefault("state", {}).update(request_id=request_id, told=told, started_s=time.perf_counter())
        seen = _Seen(send, request_id)
        method, path = scope["method"], scope["path"]
        with self._telemetry.progress(method, path):
            try:
                await self._app(scope, receive, seen)
            except ClientDisconnect:
                seen.status = seen.status or GONE
            except Exception as error:  # noqa: BLE001 - whatever nobody thought of
                _log.exception("request failed id=%s", request_id)
                if seen.status == 0:
                    await send_problem(ProblemError("bug", f"{type(error).__name__}"), request_id, seen)
            finally:
                seconds = time.perf_counter() - scope["state"]["started_s"]
                self._telemetry.answered(method, path, seen.status or GONE, seconds)
                client = scope.get("client")
                facts = {
                    "method": method,
                    "path": path,
                    "status": seen.status or GONE,
                    "ms": round(seconds * 1000, 1),
                    "id": request_id,
                    "client": client[0] if client else "-",
                    **told,
                }
                _log.info("request %s", " ".join(f"{name}={_value(value)}" for name, value in facts.items()))


class _Seen:
    """`send`, with what every answer carries, and the status that went by."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send, self._request_id = send, request_id
        self.status = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers["Content-Security-Policy"] = _POLICY
            headers["Referrer-Policy"] = "no-referrer"
            headers.setdefault("Cache-Control", "no-store")
        await self._send(message)


async def send_problem(problem: ProblemError, request_id: str, send: Send) -> None:
    """As the whole answer."""
    body = problem_bytes(problem, request_id)
    headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **problem.all_headers()}
    raw = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": problem.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})


def problem_bytes(problem: ProblemError, request_id: str) -> bytes:
    """Its JSON; half characters that a name may hold are written as escapes."""
    return json.dumps(problem.body(request_id), ensure_ascii=True).encode()


def _request_id(headers: Headers) -> str:
    """The client's own where it is one that can stand in a log, else a new one."""
    given = headers.get(REQUEST_ID, "")
    return given if _VALID_ID.fullmatch(given) else uuid.uuid4().hex


def _value(value: object) -> str:
    """One word of a log line, whatever a client wrote."""
    text = one_line(str(value))
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}..."
    return text if re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text)
