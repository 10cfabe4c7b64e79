"""Downloads against a server of the test's own: going on, beginning anew, cut connections, other content, no room."""

import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from kizu.backbones import download
from kizu.backbones.download import downloaded
from kizu.core.errors import BackboneError, OutputError

CONTENT = np.random.default_rng(0).bytes(3_000_000)


class Server(ThreadingHTTPServer):
    """What the next answers are like; `asked`: the Range of each request, None for the whole."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.version = CONTENT, '"v1"'
        self.ranges, self.cut_after, self.lies = True, None, None
        self.status, self.location, self.says_length = 200, None, True
        self.asked = []

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}/net.pth"


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server, wanted = self.server, self.headers.get("Range")
        server.asked.append(wanted)
        if server.status != 200:
            self.send_response(server.status)
            if server.location:
                self.send_header("Location", server.location)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start = 0
        if wanted and server.ranges and self.headers.get("If-Range") == server.version:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            begins = start if server.lies is None else server.lies
            self.send_header(
                "Content-Range", f"bytes {begins}-{len(server.content) - 1}/{len(server.content)}"
            )
        else:
            self.send_response(200)
        if server.version:
            self.send_header("ETag", server.version)
        if server.says_length:
            self.send_header("Content-Length", str(len(server.content) - start))
        self.end_headers()
        rest = server.content[start:]
        self.wfile.write(rest if server.cut_after is None else rest[: server.cut_after])


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def get(server, folder, **options):
    with downloaded(server.address, folder, **options) as path:
        return path.read_bytes()


def left(folder):
    return sorted(path.suffix for path in folder.iterdir())


def test_a_file_comes_whole_and_leaves_nothing(server, tmp_path):
    told = []
    assert get(server, tmp_path / "new", on_bytes=lambda now, total: told.append((now, total))) == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert left(tmp_path / "new") == []


def cut_once(server, folder, after=1_000_000):
    server.cut_after = after
    with pytest.raises(BackboneError, match=f"ended after {after} of {len(CONTENT)} bytes"):
        get(server, folder)
    server.cut_after = None


def test_a_cut_connection_is_told_and_the_next_try_goes_on(server, tmp_path):
    cut_once(server, tmp_path)
    assert left(tmp_path) == [".download", ".json"]
    assert get(server, tmp_path) == CONTENT
    assert server.asked == [None, "bytes=1000000-"]
    assert left(tmp_path) == []


def test_a_server_that_cannot_go_on_sends_all_of_it_again(server, tmp_path):
    cut_once(server, tmp_path)
    server.ranges = False
    assert get(server, tmp_path) == CONTENT
    assert server.asked == [None, "bytes=1000000-"]


def test_another_version_is_not_put_behind_the_first(server, tmp_path):
    cut_once(server, tmp_path)
    server.content, server.version = CONTENT[::-1], '"v2"'
    assert get(server, tmp_path) == CONTENT[::-1]


@pytest.mark.parametrize("version", [None, 'W/"weak"'])
def test_without_a_sure_version_it_begins_anew(server, tmp_path, version):
    server.version = version
    cut_once(server, tmp_path)
    assert get(server, tmp_path) == CONTENT
    assert server.asked == [None, None]


def test_what_is_all_there_but_was_never_used_is_fetched_again(server, tmp_path):
    with pytest.raises(OutputError), downloaded(server.address, tmp_path):
        raise OutputError("no room for what is made of it")
    assert left(tmp_path) == [".download", ".json"]
    assert get(server, tmp_path) == CONTENT
    assert server.asked == [None, f"bytes={len(CONTENT)}-", None]


def test_what_proves_to_be_useless_is_removed(server, tmp_path):
    with pytest.raises(BackboneError, match="wrong hash"), downloaded(server.address, tmp_path):
        raise BackboneError("wrong hash")
    assert left(tmp_path) == []


def test_a_part_from_another_place_is_refused(server, tmp_path):
    cut_once(server, tmp_path)
    server.lies = 5
    with pytest.raises(BackboneError, match="from byte 5, not from 1000000"):
        get(server, tmp_path)
    server.lies = None
    assert get(server, tmp_path) == CONTENT


def test_more_than_is_meant_is_refused_before_and_while_it_comes(server, tmp_path):
    with pytest.raises(BackboneError, match="would be 3000000 bytes"):
        get(server, tmp_path, largest=2_000_000)
    server.says_length = False
    with pytest.raises(BackboneError, match="more than 1500000 bytes"):
        get(server, tmp_path, largest=1_500_000)
    assert left(tmp_path) == []


@pytest.mark.parametrize(("status", "told"), [(404, "404"), (503, "503"), (403, "403")])
def test_a_refusal_is_told(server, tmp_path, status, told):
    server.status = status
    with pytest.raises(BackboneError, match=f"answers {told}"):
        get(server, tmp_path)


@pytest.mark.parametrize("location", ["http://example.invalid/net.pth", "ftp://127.0.0.1/net.pth"])
def test_a_redirection_to_where_anybody_could_change_it_is_refused(server, tmp_path, location):
    server.status, server.location = 302, location
    with pytest.raises(BackboneError, match=r"is not fetched|not allowed"):
        get(server, tmp_path)


@pytest.mark.parametrize("address", ["http://example.invalid/a", "file:///etc/passwd", "ftp://127.0.0.1/a"])
def test_only_https_is_fetched(tmp_path, address):
    with pytest.raises(BackboneError, match="use https"), downloaded(address, tmp_path):
        pytest.fail("it was fetched")


def test_nobody_there_is_told(tmp_path):
    with Server() as gone:
        address = gone.address
    with pytest.raises(BackboneError, match=r"cannot fetch .*refused"), downloaded(address, tmp_path):
        pytest.fail("it was fetched")


def test_a_silent_server_is_given_up(tmp_path, monkeypatch):
    import socket

    monkeypatch.setattr(download, "TIMEOUT_S", 0.2)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        with pytest.raises(BackboneError, match="timed out"), downloaded(address, tmp_path):
            pytest.fail("it was fetched")


def test_a_disk_without_room_is_told_before_it_is_filled(server, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 1_000_000))
    with pytest.raises(OutputError, match="no room"):
        get(server, tmp_path)


def test_a_folder_that_cannot_be_made_is_named(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        get(server, tmp_path / "file" / "below")


def test_a_second_one_of_the_same_is_told_to_wait(server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "PATIENCE_S", 0.1)
    with downloaded(server.address, tmp_path), pytest.raises(OutputError, match="in use"):
        get(server, tmp_path)
