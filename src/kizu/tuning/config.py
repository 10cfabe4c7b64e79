"""What a tuning run is: settings, without torch."""

from typing import Annotated, Literal

from pydantic import Field

from kizu.core.config import Config

Placement = Literal["attention", "mlp", "after", "pointwise"]


class TuneConfig(Config):
    """Defaults are AnomalyVFM's (rank 16, alpha 32) where it states them."""

    backbone: str = "efficientnet_lite0"
    placement: Placement | None = None
    """Where adapters lie. `attention`: on query, value and projection of every block; `mlp`: on both of its products;
    `after`: a residual product on each layer that is looked at, behind the frozen network; `pointwise`: on every 1 x 1
    convolution. None: `attention` of a transformer, `pointwise` of a CNN."""
    rank: Annotated[int, Field(ge=1)] = 16
    alpha: Annotated[float, Field(gt=0)] = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Of what goes into an adapter."""
    head: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (512, 256)
    """Widths inside the head, which is thrown away afterwards."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    confidence: Annotated[float, Field(ge=0)] = 0.1
    """How much the confidence-weighted term counts."""
    confidence_price: Annotated[float, Field(gt=0)] = 0.2
    """What the logarithm of a confidence is worth."""
    rate: Annotated[float, Field(gt=0)] = 2e-4
    decay: Annotated[float, Field(ge=0)] = 0.01
    epochs: Annotated[int, Field(ge=1)] = 6
    patience: Annotated[int, Field(ge=1)] = 2
    """It ends after so many epochs in which validation was no better."""
    batch: Annotated[int, Field(ge=1)] = 4
    """Good images in a step, each with a painted copy."""
    side_px: Annotated[int, Field(ge=32)] = 224
    """Height and width of what the network sees."""
    most_images: Annotated[int, Field(ge=4)] = 100
    """Good images that are tuned on, validation among them."""
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Part of these, by parts, that only validates."""
    kept_back: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Part of all good images, by parts, that tuning never sees: thresholds need some that it does not know."""
    seed: Annotated[int, Field(ge=0)] = 0

    @property
    def scale(self) -> float:
        """What an adapter's product is multiplied by."""
        return self.alpha / self.rank
