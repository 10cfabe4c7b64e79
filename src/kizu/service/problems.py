"""What went wrong, as RFC 9457 has it: what each status means here, and which error of ours is which.

| status | means |
|---|---|
| 400 | the request itself is broken: no picture in it, a form that cannot be read, one option twice |
| 401, 403 | no key, or an unknown one; a key whose role does not reach so far |
| 404, 405 | no such address, or not by this method |
| 408 | the body did not arrive in time |
| 413 | too many bytes, too many files, too many pixels |
| 415 | the content is no picture of a format that is read |
| 422 | understood, and cannot be done: an option, a damaged picture, one of another size than the model takes |
| 429 | this client has as many requests here as one may |
| 503 | not now: the queue is full, it took too long, the service is stopping, something could not be read |
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from kizu.core.errors import ConfigError, ImageError, KizuError, MismatchError, ScoreError, UnreadableError

MEDIA_TYPE = "application/problem+json"
_TITLES = {
    "bad-request": (400, "The request cannot be read"),
    "no-key": (401, "A key is needed"),
    "not-allowed": (403, "This key does not reach so far"),
    "not-found": (404, "There is nothing here"),
    "wrong-method": (405, "Not by this method"),
    "too-slow": (408, "The body did not arrive in time"),
    "too-large": (413, "Too large"),
    "no-picture": (415, "Not a picture that is read"),
    "cannot-be-done": (422, "Understood, and it cannot be done"),
    "too-many": (429, "As many requests as one client may have"),
    "bug": (500, "A bug in Kizu; nothing is said about the picture"),
    "busy": (503, "The queue is full"),
    "took-too-long": (503, "It took too long"),
    "stopping": (503, "The service is stopping"),
    "not-now": (503, "It cannot be done now"),
}
RETRY_AFTER_S = 1


@dataclass
class ProblemError(Exception):
    """An answer that is not the one that was asked for."""

    kind: str
    """A key of the table above."""
    detail: str
    hint: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return _TITLES[self.kind][0]

    def body(self, request_id: str) -> dict[str, Any]:
        """As RFC 9457 has it, with the hint and the request's id beside."""
        said = {
            "type": f"urn:kizu:problem:{self.kind}",
            "title": _TITLES[self.kind][1],
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        return said if self.hint is None else {**said, "hint": self.hint}

    def all_headers(self) -> dict[str, str]:
        """Those of its status too."""
        made = dict(self.headers)
        if self.status in (429, 503):
            made.setdefault("Retry-After", str(RETRY_AFTER_S))
        if self.status == 401:
            made.setdefault("WWW-Authenticate", "Bearer")
        return made


def problem_of(error: KizuError) -> ProblemError:
    """An error of the floors below: the command line's message and hint, and the status that it has here."""
    if isinstance(error, UnreadableError):
        kind = "not-now"
    elif isinstance(error, MismatchError | ImageError | ConfigError | ScoreError):
        kind = "cannot-be-done"
    else:  # of the model or the machine, not of what was sent
        kind = "not-now"
    return ProblemError(kind, error.message, error.hint)


def problem_of_status(status: int, detail: str, headers: Mapping[str, str] | None) -> ProblemError:
    """What the framework refuses by itself."""
    kinds = {404: "not-found", 405: "wrong-method", 413: "too-large"}
    fallback = "bug" if status >= HTTPStatus.INTERNAL_SERVER_ERROR else "bad-request"
    return ProblemError(kinds.get(status, fallback), detail, "GET / says what there is", headers or {})
