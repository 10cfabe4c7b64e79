"""Published data sets: licence, address or page, hash, unpacking; and a table that says only what is so."""

import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from tests.support import ask, laid_out

from kizu.core.errors import ConfigError, DataError, OutputError
from kizu.core.work import Work
from kizu.data.layouts import LAYOUTS, btad
from kizu.data.published import PUBLISHED, Published
from kizu.tasks.fetch import fetch
from kizu.tasks.set_options import FetchOptions


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing is told."""


@pytest.fixture
def entry(tmp_path: Path) -> Iterator[Published]:
    """A set in BTAD's layout, one folder too deep, on a server of this machine."""
    laid_out(tmp_path / "source", btad.EXAMPLE)
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "set.tar", "w") as tar:
        tar.add(tmp_path / "source", "BTech_Dataset_transformed")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=served)) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Published(
            title="A set",
            layout="btad",
            licence="CC0",
            page="https://example.org/set",
            archive="set.tar",
            url=f"http://127.0.0.1:{server.server_port}/set.tar",
            sha256=hashlib.sha256((served / "set.tar").read_bytes()).hexdigest(),
        )
        server.shutdown()
        thread.join()


def options(tmp_path: Path, **changes: object) -> FetchOptions:
    return replace(FetchOptions("some", tmp_path / "data", True), **changes)  # type: ignore[arg-type]


def test_a_set_is_fetched_checked_unpacked_and_can_be_read(entry: Published, tmp_path: Path) -> None:
    done = fetch(options(tmp_path), Work(), {"some": entry})
    assert done.root == tmp_path / "data/some/BTech_Dataset_transformed"
    assert len(LAYOUTS[entry.layout](done.root, "01").test()) == 4
    assert not done.was_there
    told = (tmp_path / "data/some.fetched.json").read_text()
    assert entry.sha256 is not None
    assert entry.sha256 in told
    assert "CC0" in told


def test_what_is_there_is_not_fetched_again(entry: Published, tmp_path: Path) -> None:
    first = fetch(options(tmp_path), Work(), {"some": entry})
    first.archive.unlink()
    gone = replace(entry, url="http://127.0.0.1:1/set.tar")
    again = fetch(options(tmp_path), Work(), {"some": gone})
    assert again.was_there
    assert again.root == first.root


def test_nothing_is_fetched_before_the_licence_is_accepted(entry: Published, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="Licence: CC0") as caught:
        fetch(options(tmp_path, accept_licence=False), Work(), {"some": entry})
    assert "https://example.org/set" in (caught.value.hint or "")
    assert "--accept-licence" in (caught.value.hint or "")
    assert not (tmp_path / "data").exists()


def test_another_content_than_the_known_one_is_refused(entry: Published, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has the SHA-256"):
        fetch(options(tmp_path), Work(), {"some": replace(entry, sha256="0" * 64)})
    assert not (tmp_path / "data/some").exists()
    assert not (tmp_path / "data/set.tar").exists()


def test_without_a_known_hash_the_first_one_is_told_and_holds_from_then_on(
    entry: Published, tmp_path: Path
) -> None:
    notes: list[str] = []
    unknown = replace(entry, sha256=None)
    done = fetch(options(tmp_path), Work(on_note=notes.append), {"some": unknown})
    assert entry.sha256 in notes[0]
    assert "nobody has published" in notes[0]
    done.archive.write_bytes(b"another")
    (tmp_path / "data/some").rename(tmp_path / "away")
    with pytest.raises(DataError, match=f"not {entry.sha256}"):
        fetch(options(tmp_path), Work(), {"some": unknown})


def test_a_set_that_only_its_page_gives_is_taken_from_where_it_was_put(
    entry: Published, tmp_path: Path
) -> None:
    by_page = replace(entry, url=None)
    with pytest.raises(DataError, match=r"publisher's page only: https://example\.org/set") as caught:
        fetch(options(tmp_path), Work(), {"some": by_page})
    place = tmp_path / "data" / "set.tar"
    assert f"put it at {place}" in (caught.value.hint or "")
    place.parent.mkdir(exist_ok=True)
    place.write_bytes((tmp_path / "served/set.tar").read_bytes()[:-1000])
    with pytest.raises(DataError, match="has the SHA-256"):
        fetch(options(tmp_path), Work(), {"some": by_page})
    place.write_bytes((tmp_path / "served/set.tar").read_bytes())
    assert fetch(options(tmp_path), Work(), {"some": by_page}).root.is_dir()


def test_a_set_of_several_archives_is_left_to_its_page(entry: Published, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="in several archives") as caught:
        fetch(options(tmp_path), Work(), {"some": replace(entry, archive=None, url=None)})
    assert "layout btad" in (caught.value.hint or "")


def test_without_a_network_it_is_said_where_the_archive_would_go(entry: Published, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot reach") as caught:
        fetch(options(tmp_path), Work(), {"some": replace(entry, url="http://127.0.0.1:1/set.tar")})
    assert str(tmp_path / "data" / "set.tar") in (caught.value.hint or "")


def test_an_archive_that_would_do_harm_is_not_unpacked(entry: Published, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "served/set.tar", "w") as tar:
        member = tarfile.TarInfo("../evil.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(DataError, match="leads out of the folder"):
        fetch(options(tmp_path), Work(), {"some": replace(entry, sha256=None)})
    assert not (tmp_path / "evil.txt").exists()
    assert not (tmp_path / "data/some").exists()


def test_a_folder_of_that_name_is_never_overwritten(entry: Published, tmp_path: Path) -> None:
    (tmp_path / "data/some").mkdir(parents=True)
    (tmp_path / "data/some/mine.txt").touch()
    with pytest.raises(OutputError, match="exists"):
        fetch(options(tmp_path), Work(), {"some": entry})
    assert (tmp_path / "data/some/mine.txt").exists()


def test_an_unknown_name_is_answered_with_a_known_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'viza'") as caught:
        fetch(options(tmp_path, name="viza"), Work())
    assert "visa" in (caught.value.hint or "")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_table_is_sound(name: str) -> None:
    entry = PUBLISHED[name]
    assert entry.layout in LAYOUTS
    assert entry.page.startswith("https://")
    assert entry.url is None or entry.url.startswith("https://")
    assert entry.url is None or entry.archive is not None
    assert entry.sha256 is None or (len(entry.sha256) == 64 and int(entry.sha256, 16) >= 0)
    assert entry.sha256 is None or entry.sha256 == entry.sha256.lower()
    assert entry.licence


def test_the_command_lists_what_there_is_and_asks_for_the_licence(tmp_path: Path) -> None:
    listed = ask("data", "fetch").stdout
    assert all(f"{name}: " in listed for name in PUBLISHED)
    assert listed.count("licence ") >= len(PUBLISHED)
    refused = ask("data", "fetch", "mvtec_ad", "--to", tmp_path, ok=2).stderr
    assert "CC BY-NC-SA 4.0" in refused
    assert "--accept-licence" in refused
    by_page = ask("data", "fetch", "mvtec_ad", "--to", tmp_path, "--accept-licence", ok=2).stderr
    assert "mvtec_anomaly_detection.tar.xz" in by_page
    assert "https://www.mvtec.com" in by_page
