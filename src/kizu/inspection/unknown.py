"""The record of an image that shows none of the products whose models were given."""

from typing import Annotated, Literal

from pydantic import Field

from kizu.data.manifest import Label as TrueLabel
from kizu.inspection.retrieval import Retrieved
from kizu.inspection.source import OF_SOURCE, OF_SUPERSEDED, Source
from kizu.inspection.written import MayBeAbsent, Written

Share = Annotated[float, Field(ge=0, le=1)]
WARNING = "it looks like none of the products whose models were given: nobody has inspected it"


class Unknown(Written):
    """An image that none of several models was asked about, for it shows none of their products: all that a model would
    have said is null, so that it is neither OK nor NG."""

    image_path: str = Field(description="as it was given")
    class_name: None = Field(description="none of the products")
    class_confidence: Share = Field(
        description="of the product that looks most like it: its part of the votes of the references that are nearest"
    )
    class_distance: float = Field(description="how far it is from that product's nearest reference")
    class_limit: float = Field(description="what lies farther off than this is not of that product")
    model: None = Field(description="no detector judged")
    category: None = Field(description="no thresholds hold")
    gt_label: TrueLabel | None = Field(description="what the image really is; null where it is not known")
    pred_score: None = Field(description="nobody scored it")
    image_threshold: None = Field(description="no threshold holds")
    label: None = Field(description="no verdict: neither OK nor NG")
    is_anomaly: None = Field(description="nobody knows")
    num_defects: None = Field(description="nobody looked")
    total_defect_area: None = Field(description="nobody looked")
    defects: None = Field(description="nobody looked")
    bundle_sha256: None = Field(description="no bundle judged")
    warning: str = Field(description="the same in words")
    timings: dict[str, float] = Field(description="milliseconds")
    outcome: Literal["unknown"] = Field(description="it is of none of the products")
    source: MayBeAbsent[Source] = Field(default=None, description=OF_SOURCE)
    superseded: bool = Field(default=False, description=OF_SUPERSEDED)


def unknown_record(
    image_path: str,
    retrieved: Retrieved,
    *,
    gt_label: TrueLabel | None,
    timings: dict[str, float],
    source: Source,
) -> Unknown:
    """The record of an image that is none of theirs. `timings`: ms."""
    nothing = dict.fromkeys(
        name for name, field in Unknown.model_fields.items() if field.annotation is type(None)
    )
    return Unknown(
        image_path=image_path,
        class_confidence=retrieved.confidence,
        class_distance=retrieved.distance,
        class_limit=retrieved.limit,
        gt_label=gt_label,
        warning=WARNING,
        timings={name: round(ms, 3) for name, ms in timings.items()},
        outcome="unknown",
        source=source,
        superseded=False,
        **nothing,
    )
