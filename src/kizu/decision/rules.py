"""By which rule a threshold was set: a name and the numbers that belong to it, and the words for a person."""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from kizu.core.config import Config

RuleName = Literal[
    "conformal",
    "conformal_confident",
    "quantile",
    "maximum",
    "mean_sigma",
    "fpr",
    "f1_max",
    "cost",
    "pixel_f1_max",
    "pixel_iou_max",
    "value",
]

_Share = Annotated[float, Field(ge=0, le=1)] | None
_Amount = Annotated[float, Field(ge=0)] | None


class Rule(Config):
    """What was asked of the images. What the threshold promises stands beside it, in `Threshold`.

    Written without the fields that do not belong to the name.
    """

    name: RuleName
    level: _Share = None
    """The rate of false alarms (`conformal`, `conformal_confident`, `fpr`) or the quantile (`quantile`)."""
    confidence: _Share = None
    sigmas: _Amount = None
    escape_cost: _Amount = None
    overkill_cost: _Amount = None
    prevalence: _Share = None
    """The part of products that is defective."""
    expected_cost: _Amount = None
    """Of a part, at the threshold, in the unit of both costs."""
    folds: Annotated[int, Field(ge=1)] | None = None
    """The scores are of so many fits, each of which had not seen what it scored; None: of the model that runs."""

    @model_validator(mode="after")
    def _its_own_fields(self) -> Self:
        given = {field for field in _NUMBERS if getattr(self, field) is not None}
        if given != set(_FIELDS[self.name]):
            wanted = ", ".join(_FIELDS[self.name]) or "no number"
            raise ValueError(
                f"the rule {self.name} has {wanted}; given: {', '.join(sorted(given)) or 'none'}"
            )
        return self

    @model_serializer(mode="wrap")
    def _only_its_own_fields(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {field: value for field, value in write(self).items() if value is not None}

    @classmethod
    def from_sentence(cls, sentence: str) -> Self:
        """From the words that bundles and exported files held before the rule was fields.

        They round: a rate to 4 digits, a confidence to whole per cent. Raises `ValueError` for any other words.
        """
        found = _FOLDS.fullmatch(sentence)
        words, folds = (sentence, None) if found is None else (found["words"], int(found["folds"]))
        for name, pattern in _SENTENCES.items():
            match = re.fullmatch(pattern, words)
            if match is not None:
                numbers = {field: float(text) for field, text in match.groupdict().items()}
                if "confidence" in numbers:
                    numbers["confidence"] /= 100  # told in per cent
                return cls.model_validate({"name": name, "folds": folds, **numbers})
        raise ValueError(f"no rule is told as {sentence!r}")

    def describe(self) -> str:
        """A few words for a person: "conformal@0.05", "mean+3sigma, out of 5 folds"."""
        words = _WORDS[self.name](self)
        return words if self.folds is None else f"{words}, out of {self.folds} folds"


_NUMBERS = ("level", "confidence", "sigmas", "escape_cost", "overkill_cost", "prevalence", "expected_cost")
_FIELDS: Mapping[RuleName, tuple[str, ...]] = {
    "conformal": ("level",),
    "conformal_confident": ("level", "confidence"),
    "quantile": ("level",),
    "maximum": (),
    "mean_sigma": ("sigmas",),
    "fpr": ("level",),
    "f1_max": (),
    "cost": ("escape_cost", "overkill_cost", "prevalence", "expected_cost"),
    "pixel_f1_max": (),
    "pixel_iou_max": (),
    "value": (),
}
_WORDS: Mapping[RuleName, Callable[[Rule], str]] = {
    "conformal": lambda rule: f"conformal@{rule.level:.4g}",
    "conformal_confident": lambda rule: f"conformal@{rule.level:.4g} with {rule.confidence:.0%} confidence",
    "quantile": lambda rule: f"quantile@{rule.level:g}",
    "maximum": lambda _: "maximum",
    "mean_sigma": lambda rule: f"mean+{rule.sigmas:g}sigma",
    "fpr": lambda rule: f"fpr@{rule.level:g}",
    "f1_max": lambda _: "f1_max",
    "cost": lambda rule: (
        f"cost {rule.escape_cost:g}:{rule.overkill_cost:g} at prevalence {rule.prevalence:.3g},"
        f" {rule.expected_cost:.4g} a part"
    ),
    "pixel_f1_max": lambda _: "f1_max of pixels",
    "pixel_iou_max": lambda _: "iou_max of pixels",
    "value": lambda _: "set by hand",
}

_SENTENCES: Mapping[RuleName, str] = {
    "conformal": r"conformal@(?P<level>\S+)",
    "conformal_confident": r"conformal@(?P<level>\S+) with (?P<confidence>\d+)% confidence",
    "quantile": r"quantile@(?P<level>\S+)",
    "maximum": r"maximum",
    "mean_sigma": r"mean\+(?P<sigmas>\S+)sigma",
    "fpr": r"fpr@(?P<level>\S+)",
    "f1_max": r"f1_max",
    "cost": (
        r"cost (?P<escape_cost>[^\s:]+):(?P<overkill_cost>\S+) at prevalence (?P<prevalence>\S+),"
        r" (?P<expected_cost>\S+) a part"
    ),
    "pixel_f1_max": r"f1_max of pixels",
    "pixel_iou_max": r"iou_max of pixels",
}
"""As they were written once; the words of today may change, these may not."""
_FOLDS = re.compile(r"(?P<words>.+), out of (?P<folds>\d+) folds")
