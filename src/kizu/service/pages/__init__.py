"""What a browser gets: two pages and their script and style, all from this package. Nothing is fetched elsewhere."""

from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
}
_PLACES = {
    "/": "index.html",
    "/docs": "docs.html",
    "/pages/look.js": "look.js",
    "/pages/docs.js": "docs.js",
    "/pages/page.css": "page.css",
}
FILES = tuple(path for path in _PLACES if path.startswith("/pages/"))


async def page(request: Request) -> Response:
    """The page, script or style at that address."""
    name = _PLACES[request.url.path]
    return Response(_content(name), media_type=_TYPES[Path(name).suffix])


@cache
def _content(name: str) -> bytes:
    return (Path(__file__).parent / name).read_bytes()
