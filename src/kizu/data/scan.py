"""From what was configured to a manifest: which layout, where, which categories, which groups."""

from pathlib import Path
from typing import Any

from pydantic import Field

from kizu.core.config import Config
from kizu.core.lists import comma_separated
from kizu.core.registry import look_up
from kizu.data.layouts import LAYOUTS
from kizu.data.manifest import Manifest, merge_manifests

AUTO, NONE = "auto", "none"
"""What `group` may be beside a regular expression."""


class DataConfig(Config):
    """Which images."""

    layout: str = "mvtec_ad"
    root: Path | None = None
    category: str | None = None
    """One, or several separated by commas: one model for them all, and thresholds for each."""
    group: str | None = AUTO
    """What stays on one side of every split. `auto`: pictures that prove to be of one part. `none`, or nothing, as in
    files from before there was `auto`: each picture for itself. Anything else is a regular expression over image ids:
    those whose first bracket is the same (photos of one part, one lot) stay together."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What the layout lets one set: of `folder` good_dir, bad_dir, mask_dir, test_fraction, seed."""

    @property
    def pattern(self) -> str | None:
        """The regular expression, where `group` is one."""
        return None if self.group in (None, AUTO, NONE) else self.group


def scan_data(data: DataConfig) -> Manifest:
    """The manifest of the configured data set. Raises `DataError` when it is not there."""
    scan = look_up(LAYOUTS, data.layout, noun="layout")
    names = comma_separated(data.category, where="category") if data.category else ()
    if len(names) > 1:
        manifest = merge_manifests([scan(data.root, name, data.options) for name in names])
    else:
        manifest = scan(data.root, names[0] if names else None, data.options)
    return manifest if data.pattern is None else manifest.group_by(data.pattern)
