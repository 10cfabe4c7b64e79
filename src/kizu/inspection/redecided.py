"""What a line says of itself when its verdict was made again from its score, and no picture was looked at."""

from typing import Annotated

from pydantic import Field

from kizu.decision.policy import Label
from kizu.inspection.report import UTC_TIME
from kizu.inspection.written import Written


class Redecided(Written):
    """How it came, and what was said before."""

    at: Annotated[str, Field(pattern=UTC_TIME)] = Field(description="when, UTC")
    reason: str = Field(description="why, in the words of who did it")
    label_before: Label = Field(description="the verdict before")
    image_threshold_before: float = Field(description="what pred_score was compared with before")
    bundle_sha256_before: str = Field(description="hash of the bundle whose thresholds these were")
    flaws_known: bool = Field(
        description="false: it is NG, and its flaws were never cut at this pixel threshold, so that none is listed;"
        " kizu inspect looks at the picture again"
    )
