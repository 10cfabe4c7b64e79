"""The addresses: each a few lines round the same objects that the command line uses."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from logging import getLogger
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from kizu.core.errors import KizuError
from kizu.inspection.shelf import Shelf
from kizu.inspection.shelf_models import Problem, ShelfModel
from kizu.service.answers import Asked, look
from kizu.service.bodies import Sent, drain, parse_body, read_body
from kizu.service.gate import Gate, Place
from kizu.service.keys import Caller, Keys, Role
from kizu.service.opening import tell_problems
from kizu.service.problems import ProblemError, problem_of
from kizu.service.settings import ServeSettings
from kizu.service.telemetry import Telemetry

T = TypeVar("T")
JSON = "application/json"
_log = getLogger("kizu.service.models")


class Service:
    """What all requests share."""

    def __init__(self, settings: ServeSettings, shelf: Shelf, gate: Gate, telemetry: Telemetry) -> None:
        """Raises `ConfigError` for a file of keys that cannot be used."""
        self.settings, self.shelf, self.gate, self.telemetry = settings, shelf, gate, telemetry
        self.keys = None if settings.keys_file is None else Keys(settings.keys_file)
        self.is_warm = False
        self.trouble: str | None = None
        """Why it will not become warm."""

    async def warm(self) -> None:
        """Make it ready."""
        try:
            await asyncio.to_thread(self.shelf.warm)
            self.is_warm = True
        except KizuError as error:
            self.trouble = error.message

    async def follow(self) -> None:
        """Take what comes into force, every now and then, for as long as the service runs."""
        while self.settings.refresh_s:
            await asyncio.sleep(self.settings.refresh_s)
            try:
                await asyncio.to_thread(self._take_changes)
            except Exception:  # noqa: BLE001 - what is served goes on, and the next look may find better
                _log.exception("looking for new versions failed")

    def _take_changes(self) -> tuple[str, ...]:
        before = self.shelf.problems()
        changed = self.shelf.refresh()
        if changed:
            _log.info("models changed names=%s", ",".join(changed))
        if self.shelf.problems() != before:
            tell_problems(self.shelf)
        return changed

    async def health(self, request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"status": "alive"})

    async def ready(self, request: Request) -> Response:
        """Pictures can be sent: models are warm, the queue has room, the disk too."""
        free_mb = shutil.disk_usage(tempfile.gettempdir()).free / 1e6
        checks = {
            self.trouble or "the models are still being opened": self.is_warm,
            "the queue is full": self.gate.held < self.gate.places,
            f"the temporary disk has {free_mb:.0f} MB free": free_mb >= self.settings.min_free_mb,
            "the service is stopping": not self.gate.is_closed,
        }
        wrong = [said for said, is_so in checks.items() if not is_so]
        if wrong:
            raise ProblemError("not-now", "; ".join(wrong), "ask again")
        return JSONResponse({"status": "ready", "models": len(self.shelf.models())})

    async def classes(self, request: Request) -> Response:
        """The products that are known."""
        self.admit(request)
        return JSONResponse({"classes": [model.category for model in self.shelf.models()]})

    async def list_models(self, request: Request) -> Response:
        """What is served, with thresholds and what these rest on; and what could not be taken."""
        self.admit(request)
        problems = [_tell_problem(problem) for problem in self.shelf.problems()]
        return JSONResponse({"models": [_tell(model) for model in self.shelf.models()], "problems": problems})

    async def refresh(self, request: Request) -> Response:
        """Take models and versions into service that came since, as after kizu update, threshold or rollback."""
        self.admit(request, "admin")
        changed = await asyncio.to_thread(self._take_changes)
        problems = [_tell_problem(problem) for problem in self.shelf.problems()]
        return JSONResponse({"changed": list(changed), "problems": problems})

    async def metrics(self, request: Request) -> Response:
        """For Prometheus."""
        if not self.settings.open_metrics:
            self.admit(request)
        return Response(self.telemetry.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def detect(self, request: Request) -> Response:
        """One picture, one verdict: as kizu inspect says of the same bytes."""
        settings = self.settings
        async with self._let_in(request) as place:
            data = await read_body(request, max_bytes=_bytes(settings.max_body_mb), seconds=settings.body_s)
            body = parse_body(request, data, field="file", max_files=1)
            asked = _ask(request, body.options)
            answer = self._inspect(place, body.pictures[0], asked, request.state.told)
            return Response(await while_there(request, answer), media_type=JSON)

    async def detect_batch(self, request: Request) -> Response:
        """Several pictures, answers in their order; what is wrong with one is its own item's error."""
        settings = self.settings
        async with self._let_in(request) as place:
            data = await read_body(request, max_bytes=_bytes(settings.max_batch_mb), seconds=settings.body_s)
            body = parse_body(request, data, field="files", max_files=settings.max_batch_files)
            asked = _ask(request, body.options)
            request.state.told["files"] = len(body.pictures)
            each = [self._item(place, index, sent, asked) for index, sent in enumerate(body.pictures)]
            items = await while_there(request, _all(each))
        head = json.dumps({"request_id": asked.request_id})[:-1].encode()
        return Response(head + b', "items": [' + b", ".join(items) + b"]}", media_type=JSON)

    def admit(self, request: Request, role: Role = "detect") -> Caller | None:
        """Whoever may; None: everybody may. Raises `ProblemError`."""
        if self.keys is None:
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        secret = token.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        if not secret:
            hint = "send Authorization: Bearer KEY, or X-API-Key: KEY"
            raise ProblemError("no-key", "this address needs a key", hint)
        try:
            caller = self.keys.find(secret)
        except KizuError as error:
            raise ProblemError("not-now", "the keys cannot be read now", "see the service's log") from error
        if caller is None:
            raise ProblemError("no-key", "nobody has this key", "kizu serve-key add makes one")
        request.state.told["key"] = caller.name
        if role == "admin" and caller.role != "admin":
            raise ProblemError("not-allowed", f"{caller.name} may detect, and this needs an admin's key")
        return caller

    @asynccontextmanager
    async def _let_in(self, request: Request) -> AsyncIterator[Place]:
        """A place for a request with a body; one that is refused has its body taken in, so that it sees why."""
        try:
            caller = self.admit(request)
            address = request.client.host if request.client else "unknown"
            async with self.gate.place(caller.name if caller else address) as place:
                yield place
        except ProblemError as problem:
            self.telemetry.failed(problem.kind)
            await drain(request, _bytes(self.settings.max_body_mb))
            raise

    async def _inspect(self, place: Place, sent: Sent, asked: Asked, told: dict[str, Any]) -> bytes:
        settings = self.settings
        call = partial(look, self.shelf, sent.data, asked, settings.max_megapixels)
        about = self.telemetry.category(asked.options.class_name)
        try:
            looked = await self.gate.run(
                place, call, wait_s=settings.wait_s, run_s=settings.inspect_s, about=about
            )
        except KizuError as error:
            raise problem_of(error) from error
        self.telemetry.inspected(looked)
        if looked.found.model is not None and looked.found.inspection is not None:
            found = looked.found.inspection
            told.update(
                {"class": looked.found.model.category, "label": found.label, "score": f"{found.score:.6g}"}
            )
        return looked.body

    async def _item(self, place: Place, index: int, sent: Sent, asked: Asked) -> bytes:
        head = {"index": index, "file_name": sent.name}
        try:
            result, error = await self._inspect(place, sent, asked, {}), b"null"
        except ProblemError as problem:
            self.telemetry.failed(problem.kind)
            result, error = b"null", json.dumps(problem.body(asked.request_id)).encode()
        return json.dumps(head)[:-1].encode() + b', "result": ' + result + b', "error": ' + error + b"}"


async def while_there(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What `work` gives; it ends as soon as the client has gone. Raises `ClientDisconnect`."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _all(each: list[Coroutine[Any, Any, bytes]]) -> list[bytes]:
    """All together; where one ends otherwise than it should, the others end too."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one) for one in each]
    return [task.result() for task in tasks]


def _ask(request: Request, options: Any) -> Asked:
    state = request.state
    return Asked(options, state.request_id, state.started_s, time.perf_counter() - state.started_s)


def _tell(model: ShelfModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "class_name": model.category,
        "method": model.method,
        "backbone": model.backbone,
        "kind": model.kind,
        "version": model.version,
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
        "run_id": model.run_id,
        "can_be_retrieved": model.can_be_retrieved,
        "thresholds": model.thresholds.model_dump(mode="json"),
    }


def _tell_problem(problem: Problem) -> dict[str, Any]:
    return {"path": str(problem.path), "detail": problem.message, "hint": problem.hint}


def _bytes(megabytes: float) -> int:
    return round(megabytes * 1e6)
