"""The service's pages in a real browser that reaches nothing but the service."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.serving import Served, services
from tests.support import ask, part_picture, texture, with_flaw

from kizu.core.types import U8
from kizu.imaging.codec import png_bytes
from kizu.runs.folder import RunFolder

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")


def enlarged(picture: U8) -> bytes:
    """Five times the size that the model was trained on: what it shows is the same."""
    return png_bytes(picture.repeat(5, axis=0).repeat(5, axis=1))


GOOD = png_bytes(part_picture(3))
BAD = enlarged(with_flaw(part_picture(3), 20, 30))
STRANGE = png_bytes(np.repeat(texture(50, (64, 64))[..., None], 3, axis=2))
WIDTHS = (390, 1024)


@pytest.fixture(scope="module")
def served(trained_plate: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One that knows what its product looks like."""
    (config,) = (trained_plate / "runs").rglob("config.yaml")
    run = shutil.copytree(RunFolder(config.parent).path, tmp_path_factory.mktemp("pages") / "run")
    ask("index", run)
    with services() as start:
        yield start(run)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(
            executable_path=program,
            args=["--no-sandbox"],  # the tests may run as root
            proxy={"server": "http://127.0.0.1:9", "bypass": "127.0.0.1"},  # nobody is there
        )
        yield made
        made.close()


class Page:
    """One page, and all that it asked for and complained of."""

    def __init__(self, browser: Any, address: str, width: int) -> None:
        self.at = browser.new_page(viewport={"width": width, "height": 900})
        self.at.set_default_timeout(20_000)
        self.address = address
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.at.on("request", lambda request: self.asked.append(request.url))
        self.at.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.at.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))

    def text(self, selector: str) -> str:
        return str(self.at.inner_text(selector))

    def choose(self, data: bytes, name: str = "part.png") -> None:
        file = {"name": name, "mimeType": "image/png", "buffer": data}
        with self.at.expect_response("**/detect"):
            self.at.set_input_files("#file", file)

    def ensure_fits(self) -> None:
        """Nothing is wider than the window, nothing was fetched elsewhere, and the browser complained of nothing."""
        assert self.at.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        outside = [url for url in self.asked if not url.startswith((f"{self.address}/", "data:", "blob:"))]
        assert (outside, self.complaints) == ([], [])


@pytest.fixture
def open_page(browser: Any, served: Served) -> Iterator[Callable[..., Page]]:
    pages: list[Page] = []

    def opened(path: str, width: int = 1024, address: str = served.address) -> Page:
        page = Page(browser, address, width)
        pages.append(page)
        page.at.goto(address + path, wait_until="networkidle")
        return page

    yield opened
    for page in pages:
        page.at.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_picture_gets_its_verdict_its_map_and_its_regions(
    open_page: Callable[..., Page], width: int, tmp_path: Path
) -> None:
    page = open_page("/", width)
    assert page.text("#served") == "served: plate (patchcore, version 1)"
    assert page.at.is_hidden("#result")
    page.choose(BAD)
    page.at.wait_for_selector("#verdict.NG")
    assert page.text("#verdict").startswith("NG")
    assert "score" in page.text("#verdict")
    assert page.at.locator("#regions tr").count() >= 2
    picture, heat = (page.at.locator(f"#{name}") for name in ("picture", "heat"))
    assert picture.evaluate("i => i.naturalWidth") == heat.evaluate("i => i.naturalWidth") == 320
    assert picture.bounding_box() == heat.bounding_box()  # the map lies on the picture
    page.at.uncheck("#shown")
    assert page.at.is_hidden("#heat")
    page.at.check("#shown")
    assert page.at.is_visible("#heat")
    page.at.screenshot(path=tmp_path / f"page-{width}.png", full_page=True)
    page.ensure_fits()
    page.choose(GOOD)
    page.at.wait_for_selector("#verdict.OK")
    assert page.at.locator("#regions tr").count() == 0
    page.ensure_fits()


def test_a_picture_may_be_dropped(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    handed = page.at.evaluate_handle(
        """(bytes) => { const all = new DataTransfer();
        all.items.add(new File([new Uint8Array(bytes)], "a.png", {type: "image/png"})); return all; }""",
        list(BAD),
    )
    page.at.dispatch_event("#drop", "dragover", {"dataTransfer": handed})
    assert page.at.get_attribute("#drop", "class") == "over"
    page.at.dispatch_event("#drop", "drop", {"dataTransfer": handed})
    page.at.wait_for_selector("#verdict.NG")
    page.ensure_fits()


def test_a_strangers_picture_is_nobodys_and_a_named_products_is_judged(
    open_page: Callable[..., Page],
) -> None:
    page = open_page("/")
    page.choose(BAD)
    page.at.wait_for_selector("#verdict.NG")
    page.choose(STRANGE)
    page.at.wait_for_function("document.getElementById('verdict').className === ''")
    assert "none of the products" in page.text("#verdict")
    assert page.at.is_hidden("#heat")  # of the picture before
    assert page.at.locator("#regions tr").count() == 0
    page.at.select_option("#class_name", "plate")
    page.choose(STRANGE)
    page.at.wait_for_selector("#verdict.NG")
    page.ensure_fits()


def test_what_goes_wrong_is_said_and_an_older_verdict_does_not_stay(open_page: Callable[..., Page]) -> None:
    page = open_page("/")
    page.choose(GOOD)
    page.at.wait_for_selector("#verdict.OK")
    page.choose(b"<img src=x onerror=alert(1)>", "<b>.png")
    page.at.wait_for_selector("#problem:visible")
    assert "no picture" in page.text("#problem")
    assert page.at.is_hidden("#result")
    page.complaints.clear()  # the browser tells of the 415
    page.ensure_fits()


def test_with_keys_the_page_asks_for_one(
    browser: Any, open_page: Callable[..., Page], served: Served, tmp_path: Path
) -> None:
    key = ask("serve-key", "add", "line1", "--keys-file", tmp_path / "keys.json").stdout.strip()
    run = served.process.args[-1]  # type: ignore[index]
    with services() as start:
        page = open_page("/", address=start(run, "--keys-file", tmp_path / "keys.json").address)
        assert "needs a key" in page.text("#served")
        page.at.fill("#key", key)
        page.at.press("#key", "Tab")
        page.at.wait_for_function("document.getElementById('served').textContent.startsWith('served:')")
        page.choose(BAD)
        page.at.wait_for_selector("#verdict.NG")


@pytest.mark.parametrize("width", WIDTHS)
def test_the_description_shows_every_address_and_field(
    open_page: Callable[..., Page], served: Served, width: int, tmp_path: Path
) -> None:
    page = open_page("/docs", width)
    told = served.ask("/openapi.json")[1]
    shown = page.text("#api")
    for path, methods in told["paths"].items():
        for method in methods:
            assert f"{method.upper()} {path}" in shown
    for name, schema in told["components"]["schemas"].items():
        assert name in shown
        assert all(field in shown for field in schema.get("properties", ()))
    page.at.screenshot(path=tmp_path / f"docs-{width}.png", full_page=True)
    page.ensure_fits()
