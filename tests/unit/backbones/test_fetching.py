"""Published weights: what their hash is compared with, and that nothing else becomes a backbone."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from tests.support import resnet_weights

from kizu.backbones import resnet
from kizu.backbones.added import added_names, read_added
from kizu.backbones.fetching import fetch
from kizu.backbones.publishers import PUBLISHED, Published
from kizu.backbones.resnet import Variant
from kizu.core.errors import BackboneError, ConfigError, OutputError
from kizu.core.hashing import hash_file

SMALL = Variant((1, 1, 1, 1), bottleneck=False, stem=4)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("KIZU_BACKBONES", str(tmp_path / "backbones"))
    monkeypatch.setenv("KIZU_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setitem(resnet.VARIANTS, "small", SMALL)


@pytest.fixture
def published(tmp_path):
    """(folder that is served, its address)"""
    folder = tmp_path / "published"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}/small.safetensors"
        server.shutdown()
        thread.join()


def publish(folder, seed=0):
    save = pytest.importorskip("safetensors.numpy").save_file
    path = folder / "small.safetensors"
    save(resnet_weights(SMALL, seed), path)
    return hash_file(path)


def downloads(tmp_path):
    return list((tmp_path / "cache" / "downloads").iterdir())


def test_the_digits_that_the_publisher_states_are_checked_and_counted(published, tmp_path):
    folder, address = published
    digest = publish(folder)
    for name, start, told in (("a", digest[:8], "the first 8 digits are"), ("b", digest, "the same as")):
        notes = []
        fetch(Published("small", address, "MIT", start), name, on_note=notes.append)
        assert any(digest in note and told in note for note in notes)
        added = read_added(name)
        assert (added.licence, added.source, added.weights_sha256) == ("MIT", address, digest)
    assert downloads(tmp_path) == []


def test_another_hash_than_the_publisher_states_is_refused_and_removed(published, tmp_path):
    folder, address = published
    digest = publish(folder)
    start = "0" * 8 if digest[:8] != "0" * 8 else "1" * 8
    with pytest.raises(BackboneError, match=f"begins with {start}") as caught:
        fetch(Published("small", address, "MIT", start), "a", on_note=print)
    assert digest in caught.value.message
    assert added_names() == []
    assert downloads(tmp_path) == []


def test_where_no_hash_is_stated_the_first_one_binds(published):
    folder, address = published
    first = publish(folder)
    notes = []
    unknown = Published("small", address, "MIT")
    fetch(unknown, "a", on_note=notes.append)
    assert any("nothing but the encrypted connection vouches for it" in note for note in notes)
    publish(folder, seed=1)
    with pytest.raises(BackboneError, match=f"the first time it was {first}"):
        fetch(unknown, "b", on_note=notes.append)
    assert added_names() == ["a"]


def test_what_is_not_the_network_is_not_remembered_either(published):
    folder, address = published
    (folder / "small.safetensors").write_bytes(b"<html>please log in</html>")
    with pytest.raises(BackboneError, match="a web page"):
        fetch(Published("small", address, "MIT"), "a", on_note=print)
    publish(folder)
    fetch(Published("small", address, "MIT"), "a", on_note=print)
    assert added_names() == ["a"]


def test_an_address_that_gives_nothing_is_told_with_the_way_round(published):
    _, address = published  # where nothing lies
    with pytest.raises(BackboneError, match="404") as caught:
        fetch(Published("small", address, "MIT", megabytes=1.0), "a", on_note=print)
    assert "kizu backbones add small.safetensors --as a" in caught.value.hint


def test_what_was_fetched_is_not_fetched_again_when_it_could_not_be_kept(published, tmp_path, monkeypatch):
    folder, address = published
    publish(folder)
    (tmp_path / "backbones").write_text("a file where the folder should be")
    with pytest.raises(OutputError):
        fetch(Published("small", address, "MIT"), "a", on_note=print)
    (tmp_path / "backbones").unlink()
    (folder / "small.safetensors").unlink()
    fetch(Published("small", address, "MIT"), "a", on_note=print)
    assert added_names() == ["a"]
    assert downloads(tmp_path) == []


def test_offline_the_hint_says_how_to_go_without(tmp_path):
    nobody = Published("small", "http://127.0.0.1:9/small.pth", "MIT")
    with pytest.raises(BackboneError, match="cannot reach") as caught:
        fetch(nobody, "a", on_note=print)
    assert "kizu backbones add small.pth --as a --arch small --licence MIT" in caught.value.hint


def test_a_name_that_is_taken_costs_no_download(published):
    _, address = published
    with pytest.raises(ConfigError, match="taken"):
        fetch(Published("small", address, "MIT"), "tiny", on_note=print)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_table_is_of_https_addresses_with_licences_and_hexadecimal_digits(name):
    published = PUBLISHED[name]
    assert published.address.startswith("https://")
    assert published.licence in ("Apache-2.0", "BSD-3-Clause")
    assert set(published.sha256_start) <= set("0123456789abcdef")
    if published.sha256_start:
        assert published.file.endswith(f"-{published.sha256_start}.pth")
