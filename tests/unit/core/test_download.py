"""Files from a server of this machine: whole, gone on with, checked, and refused in words."""

import hashlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from kizu.core import download as downloading
from kizu.core.download import download
from kizu.core.errors import ConfigError, DataError, OutputError

CONTENT = np.random.default_rng(0).bytes(700_000)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Behaviour:
    """How the server answers, and what it was asked."""

    content: bytes = CONTENT
    has_ranges: bool = True
    etag: str | None = '"1"'
    cut_after: int | None = None
    """Bytes of each answer after which the connection ends."""
    stall: bool = False
    """Each answer ends before its first byte."""
    status: int = 200
    location: str | None = None
    encoding: str | None = None
    says_length: bool = True
    asked: list[tuple[str | None, str | None]] = field(default_factory=list)
    """(Range, If-Range) of each request."""


class Handler(BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        b = self.behaviour
        asked = self.headers.get("Range")
        b.asked.append((asked, self.headers.get("If-Range")))
        if b.status != 200:
            self.send_response(b.status)
            if b.location:
                self.send_header("Location", b.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and b.has_ranges else 0
        if self.headers.get("If-Range") not in (None, b.etag):
            start = 0
        if start >= len(b.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(b.content)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(b.content) - 1}/{len(b.content)}")
        if b.etag:
            self.send_header("ETag", b.etag)
        if b.encoding:
            self.send_header("Content-Encoding", b.encoding)
        if b.says_length:
            self.send_header("Content-Length", str(len(b.content) - start))
        self.end_headers()
        if b.stall:
            return
        end = len(b.content) if b.cut_after is None else start + b.cut_after
        self.wfile.write(b.content[start:end])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Behaviour]]:
    monkeypatch.setattr(downloading, "PAUSE_S", 0.001)
    behaviour = Behaviour()
    handler = type("Bound", (Handler,), {"behaviour": behaviour})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}/set.tar", behaviour
        running.shutdown()
        thread.join()


def only(folder: Path) -> list[str]:
    """What lies there, without locks."""
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".lock"))


def test_a_file_comes_whole_and_its_hash_is_told(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    seen: list[tuple[int, int]] = []
    assert (
        download(
            url, tmp_path / "new" / "set.tar", sha256=SHA256.upper(), on_progress=lambda *at: seen.append(at)
        )
        == SHA256
    )
    assert (tmp_path / "new" / "set.tar").read_bytes() == CONTENT
    assert only(tmp_path / "new") == ["set.tar"]
    assert seen[0] == (0, len(CONTENT))
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert behaviour.asked == [(None, None)]


def test_what_is_there_is_not_fetched_again_and_another_file_is_not_overwritten(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    (tmp_path / "set.tar").write_bytes(CONTENT)
    assert download(url, tmp_path / "set.tar", sha256=SHA256) == SHA256
    assert download(url, tmp_path / "set.tar", sha256=None) == SHA256
    (tmp_path / "set.tar").write_bytes(b"mine")
    with pytest.raises(DataError, match="is there and has the SHA-256"):
        download(url, tmp_path / "set.tar", sha256=SHA256)
    assert (tmp_path / "set.tar").read_bytes() == b"mine"
    assert behaviour.asked == []


@pytest.mark.parametrize("sha256", [None, SHA256])
def test_a_cut_connection_is_gone_on_with_where_the_server_can(
    server: tuple[str, Behaviour], tmp_path: Path, sha256: str | None
) -> None:
    url, behaviour = server
    behaviour.cut_after = 120_000
    assert download(url, tmp_path / "set.tar", sha256=sha256) == SHA256
    assert [asked for asked, _ in behaviour.asked] == [
        None,
        *(f"bytes={at}-" for at in range(120_000, 700_000, 120_000)),
    ]
    assert {condition for _, condition in behaviour.asked[1:]} == {'"1"'}


def test_a_server_without_ranges_sends_all_again_and_bytes_are_not_doubled(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    behaviour.cut_after, behaviour.has_ranges = 300_000, False
    with pytest.raises(DataError, match="ended at 300000 bytes: 700000 were announced") as caught:
        download(url, tmp_path / "set.tar", sha256=SHA256)
    assert "goes on" in (caught.value.hint or "")
    assert only(tmp_path) == ["set.tar.part", "set.tar.part.json"]
    behaviour.cut_after = None
    assert download(url, tmp_path / "set.tar", sha256=SHA256) == SHA256
    assert (tmp_path / "set.tar").read_bytes() == CONTENT


def test_a_later_call_goes_on_from_what_an_earlier_one_left(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server

    def stop(done: int, total: int) -> None:
        if done > 250_000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(url, tmp_path / "set.tar", sha256=None, on_progress=stop)
    left = (tmp_path / "set.tar.part").stat().st_size
    assert left > 250_000
    assert download(url, tmp_path / "set.tar", sha256=None) == SHA256
    assert behaviour.asked[1:] == [(f"bytes={left}-", '"1"')]


def test_a_part_that_is_whole_is_not_asked_for_twice(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.cut_after = 300_000
    behaviour.has_ranges = False
    with pytest.raises(DataError):
        download(url, tmp_path / "set.tar", sha256=SHA256)
    behaviour.has_ranges = True
    (tmp_path / "set.tar.part").write_bytes(CONTENT)
    assert download(url, tmp_path / "set.tar", sha256=SHA256) == SHA256
    assert behaviour.asked[-1] == ("bytes=700000-", '"1"')


def test_another_version_on_the_server_is_never_joined_to_the_old_one(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    behaviour.stall, behaviour.cut_after = False, 200_000
    behaviour.has_ranges = False
    with pytest.raises(DataError):
        download(url, tmp_path / "set.tar", sha256=None)
    behaviour.content, behaviour.etag = CONTENT[::-1], '"2"'
    behaviour.cut_after, behaviour.has_ranges = None, True
    download(url, tmp_path / "set.tar", sha256=None)
    assert (tmp_path / "set.tar").read_bytes() == CONTENT[::-1]


def test_without_a_version_and_a_hash_nothing_is_gone_on_with(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    behaviour.etag = None
    (tmp_path / "set.tar.part").write_bytes(b"of something else")
    download(url, tmp_path / "set.tar", sha256=None)
    assert behaviour.asked == [(None, None)]
    assert (tmp_path / "set.tar").read_bytes() == CONTENT


def test_a_wrong_hash_is_told_and_nothing_is_kept(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.content = CONTENT[:-1] + b"?"
    with pytest.raises(DataError, match=f"not {SHA256}"):
        download(url, tmp_path / "set.tar", sha256=SHA256)
    assert only(tmp_path) == []


def test_a_server_that_never_gets_further_ends_it(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.stall = True
    with pytest.raises(DataError, match="ended at 0 bytes"):
        download(url, tmp_path / "set.tar", sha256=SHA256)
    assert len(behaviour.asked) == downloading.TRIES


def test_a_server_that_refuses_is_quoted(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.status = 403
    with pytest.raises(DataError, match="403 Forbidden") as caught:
        download(url, tmp_path / "set.tar", sha256=None)
    assert "browser" in (caught.value.hint or "")
    assert len(behaviour.asked) == 1
    behaviour.status = 503
    with pytest.raises(DataError, match="503 Service Unavailable"):
        download(url, tmp_path / "set.tar", sha256=None)
    assert len(behaviour.asked) == 1 + downloading.TRIES


def test_without_a_network_it_says_where_a_file_from_elsewhere_goes(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(DataError, match=r"cannot reach 127\.0\.0\.1") as caught:
        download(f"http://127.0.0.1:{port}/set.tar", tmp_path / "set.tar", sha256=None)
    assert str(tmp_path / "set.tar") in (caught.value.hint or "")


@pytest.mark.parametrize("url", ["http://example.org/a", "ftp://127.0.0.1/a", "file:///etc/hosts", "a.tar"])
def test_only_https_is_fetched(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="only https"):
        download(url, tmp_path / "a", sha256=None)


def test_an_address_that_leads_to_an_unsafe_one_is_not_followed(
    server: tuple[str, Behaviour], tmp_path: Path
) -> None:
    url, behaviour = server
    behaviour.status, behaviour.location = 302, "http://example.org/a"
    with pytest.raises(ConfigError, match="only https"):
        download(url, tmp_path / "a", sha256=None)


def test_a_compressed_answer_is_refused(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.encoding = "gzip"
    with pytest.raises(DataError, match="encoding gzip"):
        download(url, tmp_path / "a", sha256=None)


def test_a_file_of_unknown_length_comes_too(server: tuple[str, Behaviour], tmp_path: Path) -> None:
    url, behaviour = server
    behaviour.says_length = False
    assert download(url, tmp_path / "a", sha256=None) == SHA256


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(
    server: tuple[str, Behaviour], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        free = 1000

    monkeypatch.setattr("kizu.core.files.shutil.disk_usage", lambda _: Full)
    with pytest.raises(OutputError, match="MB are free"):
        download(server[0], tmp_path / "a", sha256=None)
    assert not (tmp_path / "a").exists()
