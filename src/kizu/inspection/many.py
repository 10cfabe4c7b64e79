"""What a worker does with one of many images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kizu.core.errors import ImageError
from kizu.data.batches import Source
from kizu.imaging.arrays import PillowImage
from kizu.inspection.found import Inspection

if TYPE_CHECKING:
    from kizu.inspection.inspector import Inspector


@dataclass(frozen=True, slots=True)
class JudgeEach:
    """Makes the worker's function; it can be pickled, and opens its inspector where it arrives."""

    inspector: "Inspector"
    skip_broken: bool

    def __call__(self) -> Callable[[str | Source | PillowImage], Inspection | ImageError]:
        """From an image to what was found, or why nothing could be."""
        return self._judge

    def _judge(self, image: str | Source | PillowImage) -> Inspection | ImageError:
        try:
            return self.inspector.inspect(image)
        except ImageError as error:
            if not self.skip_broken:
                raise
            return error
