"""What is looked at in a browser: one look for all pages. Values in, HTML out; nothing here knows where they come from.

A page is one file with its style and its script inside. It opens from disk, asks nobody for anything, and its policy
lets nothing run but that script.
"""

import base64
import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from kizu.core.provenance import package_versions, utc_now
from kizu.pages.content import Page


@cache
def environment() -> Environment:
    """The templates: `base.html` is the frame of every page, with the blocks `title` and `main`."""
    made = Environment(
        loader=PackageLoader("kizu.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["data"] = as_data
    return made


def render(page: Page) -> str:
    """The page as one HTML document, which needs no other file but the pictures that it names."""
    script = source("page.js")
    return (
        environment()
        .get_template("page.html")
        .render(
            page=page,
            style=Markup(source("page.css")),
            script=Markup(script),
            script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
            version=package_versions()["kizu"],
            created_at=utc_now(),
        )
    )


@cache
def source(name: str) -> str:
    """The style or the script of all pages, as it stands in this package."""
    return (Path(__file__).parent / name).read_text(encoding="utf-8").strip()


def as_data(value: Any) -> Markup:
    """JSON to stand inside an element `script`: nothing in it can end that element, whatever files are called."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))
