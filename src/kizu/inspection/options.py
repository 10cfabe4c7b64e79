"""What an inspection writes, and how it shares the work out."""

from typing import Annotated

from pydantic import Field

from kizu.core.config import Config
from kizu.core.work import BATCH
from kizu.inspection.found import OverlayStyle


class FolderOptions(Config):
    """What is kept, and how many images go through at a time."""

    save_masks: bool = True
    save_overlays: bool = True
    overlay: OverlayStyle = "blend"
    save_page: bool = False
    """Each overlay's layers too, small, for a page to look at (`inspection.layers`)."""
    save_csv: bool = False
    refuse_pages: bool = False
    """A file with several pages gets no verdict: only the first would be looked at."""
    batch_size: Annotated[int, Field(ge=1)] = BATCH
    """1: each image by itself, for the shortest way from file to verdict."""
    workers: int | None = None
    """Threads, each of which takes some images all the way; None: as many as cores."""
