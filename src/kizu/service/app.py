"""One application of the parts: addresses, their description, what is made and let go with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from kizu.core.errors import KizuError
from kizu.core.provenance import package_versions
from kizu.core.threads import one_blas_thread
from kizu.core.work import Work
from kizu.inspection.shelf import Shelf
from kizu.service.answers import BatchAnswer, DetectAnswer
from kizu.service.bodies import DetectOptions
from kizu.service.edge import Edge, problem_bytes
from kizu.service.forms import FORM
from kizu.service.gate import Gate
from kizu.service.pages import FILES, page
from kizu.service.problems import MEDIA_TYPE, ProblemError, problem_of, problem_of_status
from kizu.service.routes import Service
from kizu.service.settings import ServeSettings
from kizu.service.telemetry import Telemetry

POSTED = ("/detect", "/detect/batch", "/models/refresh")
GOT = ("/health", "/ready", "/classes", "/models", "/metrics", "/openapi.json", "/docs", "/")
_ABOUT = (
    "Pictures in, verdicts out: OK or NG, a raw score with its threshold, the regions of the flaw, and the map."
    " The same that `kizu inspect` says of the same bytes. Errors are problems as RFC 9457 has them."
)


class Problem(BaseModel):
    """RFC 9457, with what to do about it and the request's id."""

    type: str
    title: str
    status: int
    detail: str
    hint: str | None = None
    request_id: str


class _Application(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """The library's description says of a problem that it might be plain JSON too."""
        described = super().openapi()
        for methods in described["paths"].values():
            for told in methods.values():
                for answer in told["responses"].values():
                    content = answer.get("content", {})
                    if MEDIA_TYPE in content and "application/json" in content:
                        content[MEDIA_TYPE] = content.pop("application/json")
        return described


def make_app(settings: ServeSettings, shelf: Shelf, work: Work = Work()) -> FastAPI:
    """The service over `shelf`, which it closes at its end. Raises `ConfigError` for keys that cannot be used."""
    telemetry = Telemetry((*POSTED, *GOT, *FILES), shelf)
    gate = Gate(settings.workers or work.core_count, settings.queue_length, settings.max_per_client)
    telemetry.watch(gate)
    service = Service(settings, shelf, gate, telemetry)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with one_blas_thread():  # as where `kizu inspect` shares pictures out, to the last bit
            beside = [asyncio.create_task(service.warm()), asyncio.create_task(service.follow())]
            yield
            for task in beside:
                task.cancel()
            gate.shut_down()
            shelf.close()

    app = _Application(
        title="Kizu",
        version=package_versions().get("kizu", "unknown"),
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(Edge, telemetry=telemetry)
    for kind in (ProblemError, KizuError, HTTPException):
        app.add_exception_handler(kind, _answer_problem)
    _add_addresses(app, service)
    return app


async def _answer_problem(request: Request, error: Exception) -> Response:
    if isinstance(error, KizuError):
        problem = problem_of(error)
    elif isinstance(error, HTTPException):
        problem = problem_of_status(error.status_code, str(error.detail), error.headers)
    else:
        assert isinstance(error, ProblemError)
        problem = error
    body = problem_bytes(problem, request.state.request_id)
    return Response(body, problem.status, problem.all_headers(), MEDIA_TYPE)


def _add_addresses(app: FastAPI, service: Service) -> None:
    plain: dict[str, Any] = {"response_model": None}
    app.add_api_route("/health", service.health, **plain, responses=_problems())
    app.add_api_route("/ready", service.ready, **plain, responses=_problems(503))
    app.add_api_route("/classes", service.classes, **plain, responses=_problems(401, 503))
    app.add_api_route("/models", service.list_models, **plain, responses=_problems(401, 503))
    app.add_api_route("/metrics", service.metrics, **plain, responses=_problems(401, 503))
    app.add_api_route(
        "/models/refresh", service.refresh, methods=["POST"], **plain, responses=_problems(401, 403, 503)
    )
    refused = (400, 401, 408, 413, 415, 422, 429, 503)
    app.add_api_route(
        "/detect",
        service.detect,
        methods=["POST"],
        response_model=None,
        responses={200: {"model": DetectAnswer}, **_problems(*refused)},
        openapi_extra=_body("file", several=False),
    )
    app.add_api_route(
        "/detect/batch",
        service.detect_batch,
        methods=["POST"],
        response_model=None,
        responses={200: {"model": BatchAnswer}, **_problems(*refused)},
        openapi_extra=_body("files", several=True),
    )
    for path in ("/", "/docs", *FILES):
        app.add_api_route(path, page, include_in_schema=False, response_model=None)


def _problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {
        status: {"model": Problem, "content": {MEDIA_TYPE: {}}, "description": title}
        for status in statuses
        for title in [_MEANINGS[status]]
    }


_MEANINGS = {
    400: "The request cannot be read",
    401: "A key is needed",
    403: "The key does not reach so far",
    408: "The body did not arrive in time",
    413: "Too many bytes, files or pixels",
    415: "Not a picture that is read",
    422: "Understood, and it cannot be done: an option, a damaged picture, one of another size than the model takes",
    429: "This client has as many requests here as one may",
    503: "Not now: the queue is full, it took too long, the service is stopping",
}


def _body(field: str, *, several: bool) -> dict[str, Any]:
    """How a request is described: a form, or for one picture the picture itself with options in the query."""
    options = DetectOptions.model_json_schema()["properties"]
    file: dict[str, Any] = {
        "type": "string",
        "contentMediaType": "application/octet-stream",
        "format": "binary",
    }
    properties = {field: {"type": "array", "items": file} if several else file, **options}
    form = {"schema": {"type": "object", "properties": properties, "required": [field]}}
    raw = {"schema": {"type": "string", "format": "binary"}}
    described: dict[str, Any] = {"requestBody": {"required": True, "content": {FORM: form}}}
    described["parameters"] = [
        {"name": name, "in": "query", "required": False, "schema": schema} for name, schema in options.items()
    ]
    if not several:
        described["requestBody"]["content"]["application/octet-stream"] = raw
    return described
