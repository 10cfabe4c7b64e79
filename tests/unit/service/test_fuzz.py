"""Nothing that a client sends makes the service answer 500, or stop."""

import random
import warnings
from collections.abc import Callable
from urllib.parse import quote

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient
from tests.support import part_picture

from kizu.imaging.codec import jpeg_bytes, png_bytes

Start = Callable[..., TestClient]
PICTURES = (png_bytes(part_picture(3)), jpeg_bytes(part_picture(4)))
TYPES = (
    "", "image/png", "application/octet-stream", "text/plain", "application/json", "multipart/form-data",
    "multipart/form-data; boundary=x", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"x",
    "multipart/form-data; charset=utf-16; boundary=x", "application/x-www-form-urlencoded", "image/", ";;;",
)  # fmt: skip
WORDS = (
    "1", "-1", "1e999", "nan", "inf", "true", "maybe", "", " ", "\x00", "plate", "../../etc/passwd",
    "ü\u2028", "\ud7ff", "9" * 400, "[]", "{}", "null", "png", "npy",
)  # fmt: skip
OPTIONS = ("class_name", "threshold", "return_map", "map_format", "return_regions", "file", "made_up", "")


def broken(rng: random.Random) -> bytes:
    """A picture with bytes changed, cut out or put in; or bytes that never were one."""
    if rng.random() < 0.15:
        return rng.randbytes(rng.randrange(400))
    data = bytearray(rng.choice(PICTURES))
    for _ in range(rng.randrange(6)):
        at = rng.randrange(len(data))
        data[at : at + rng.choice((0, 1, 1, 4, 300))] = rng.randbytes(rng.choice((0, 1, 1, 4)))
        if not data:
            break
    return bytes(data[: rng.choice((len(data), len(data), rng.randrange(len(data) + 1)))])


def form(rng: random.Random) -> bytes:
    """Nearly a form."""
    parts = []
    for _ in range(rng.randrange(4)):
        name, file_name = (
            rng.choice(OPTIONS),
            rng.choice(("", '; filename="a.png"', "; filename=", "; filename*=x")),
        )
        content = rng.choice((broken(rng), rng.choice(WORDS).encode("utf-8", "surrogatepass")))
        head = rng.choice(
            (f'Content-Disposition: form-data; name="{name}"{file_name}', "X: y", "", "no colon")
        )
        parts.append(b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n")
    return b"".join(parts) + rng.choice((b"--x--\r\n", b"--x--\r\n", b"--x", b""))


@pytest.mark.parametrize("seed", range(4))
def test_random_bodies_options_and_paths_are_answered_with_what_is_wrong(
    client: TestClient, seed: int
) -> None:
    rng = random.Random(seed)
    seen: dict[int, int] = {}
    for _ in range(120):
        path = rng.choice(
            (
                "/detect",
                "/detect",
                "/detect/batch",
                f"/{quote(rng.choice(WORDS), errors='replace')}",
                "/models",
                "/detect/",
            )
        )
        kind = rng.choice(TYPES)
        body = form(rng) if "boundary=x" in kind and rng.random() < 0.8 else broken(rng)
        params = [(rng.choice(OPTIONS), rng.choice(WORDS)) for _ in range(rng.choice((0, 0, 1, 2)))]
        headers = {"content-type": kind} if kind else {}
        headers["x-request-id"] = rng.choice(("", "ok-1", "a b", "x" * 500))
        done = client.request(
            rng.choice(("POST", "POST", "POST", "GET", "PUT")),
            path,
            content=body,
            params=params,
            headers=headers,
        )
        seen[done.status_code] = seen.get(done.status_code, 0) + 1
        assert done.status_code < 500, (path, kind, body, params, done.text)
        if done.status_code >= 400:
            assert done.headers["content-type"] == "application/problem+json"
            assert done.json()["status"] == done.status_code
    assert {200, 400, 415, 422} <= seen.keys(), seen
    assert client.post("/detect", content=PICTURES[0]).status_code == 200
    service = client.app.state.service  # type: ignore[attr-defined]
    assert (service.gate.held, service.gate.running, service.gate.waiting.total()) == (0, 0, 0)


def test_what_the_description_allows_is_never_a_5xx(client: TestClient) -> None:
    """Requests made from /openapi.json by schemathesis, where it is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
        import requests
        from hypothesis import HealthCheck, given, settings

        schema = schemathesis.openapi.from_dict(client.get("/openapi.json").json())
        for operation in schema.get_all_operations():
            found = operation.ok()

            @given(case=found.as_strategy())
            @settings(max_examples=25, deadline=None, derandomize=True, database=None,
                      suppress_health_check=list(HealthCheck))  # fmt: skip
            def call(case: object) -> None:
                told = case.as_transport_kwargs(base_url="http://127.0.0.1")  # type: ignore[attr-defined]
                made = requests.Request(**told).prepare()
                assert made.method is not None
                assert made.url is not None
                done = client.request(made.method, made.url, content=made.body, headers=dict(made.headers))
                assert done.status_code < 500 or done.status_code == 503, done.text

            call()
