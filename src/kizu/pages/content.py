"""What pages are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Tone = Literal["plain", "good", "bad", "open"]
"""Of a sentence: as it was hoped for, not so, or not known yet. A word says it too, never the colour alone."""


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence of the answer."""

    text: str
    tone: Tone = "plain"


@dataclass(frozen=True, slots=True)
class Number:
    """A measured value under the name that the field has for it."""

    name: str
    value: str
    interval: str = ""
    meaning: str = ""
    """What it says, in a sentence; shown on hover and focus."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """Numbers that answer one question."""

    question: str
    numbers: Sequence[Number]
    template: ClassVar[str] = "numbers.html"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a head; the first column names the row."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    template: ClassVar[str] = "table.html"


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and what is to be said of them."""

    title: str
    rows: Sequence[tuple[str, str]]
    template: ClassVar[str] = "facts.html"


@dataclass(frozen=True, slots=True)
class Notes:
    """What qualifies the rest."""

    title: str
    lines: Sequence[str]
    template: ClassVar[str] = "notes.html"


@dataclass(frozen=True, slots=True)
class Pictures:
    """Finished pictures: (address, caption)."""

    title: str
    items: Sequence[tuple[str, str]]
    template: ClassVar[str] = "pictures.html"


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores by class, and the threshold, which may be moved to see what it would do."""

    title: str
    threshold: float
    scores: Sequence[tuple[float, int]]
    """Score, and 0 of a good picture, 1 of a defective one, 2 of one of which nobody knows."""
    unit: str = "score"
    note: str = ""
    """What a threshold that was moved here is worth."""
    is_relative: bool = False
    """Scores are in units of each picture's own threshold."""
    template: ClassVar[str] = "scores.html"

    def data(self) -> Mapping[str, Any]:
        """For the script."""
        scores = [list(pair) for pair in self.scores]
        return {
            "threshold": self.threshold,
            "scores": scores,
            "unit": self.unit,
            "relative": self.is_relative,
        }


@dataclass(frozen=True, slots=True)
class Region:
    """A flaw that is listed."""

    box: tuple[int, int, int, int]
    """(x_min, y_min, x_max, y_max) in pixels of the picture, half open."""
    area: int
    ratio: float
    """Its peak, in units of the pixel threshold; 0: that is not above 0."""


@dataclass(frozen=True, slots=True)
class Case:
    """One picture and what was said of it. Addresses are relative ones, or data URIs; "": there is no such layer."""

    name: str
    score: float
    threshold: float
    label: Literal["OK", "NG"]
    truth: int = 2
    """As in `Scores`."""
    kind: str = ""
    size_px: tuple[int, int] = (0, 0)
    """Height, width."""
    regions: Sequence[Region] = ()
    picture: str = ""
    heat: str = ""
    found: str = ""
    true: str = ""
    faint: str = ""
    """The map on its own scale, of a missed flaw."""
    whole: str = ""
    """The picture with all of it drawn on, where the layers are not there."""
    reason: str = ""

    def data(self) -> list[Any]:
        """For the script, in few letters."""
        regions = [[*region.box, region.area, round(region.ratio, 3)] for region in self.regions]
        layers = [self.picture, self.heat, self.found, self.true, self.faint, self.whole]
        height, width = self.size_px
        head = [self.name, self.score, self.threshold, int(self.label == "NG"), self.truth, self.kind]
        return [*head, height, width, regions, layers, self.reason]


@dataclass(frozen=True, slots=True)
class Cases:
    """Pictures to sort, filter and look at."""

    title: str
    cases: Sequence[Case]
    heat: Sequence[str]
    """Colours of the map from the threshold up."""
    heat_top: float
    """Where they end, in units of the threshold."""
    colours: tuple[str, str]
    """Of the outlines: found, true."""
    note: str = ""
    template: ClassVar[str] = "cases.html"

    def data(self) -> Mapping[str, Any]:
        """For the script."""
        return {"cases": [case.data() for case in self.cases]}

    @property
    def has_truth(self) -> bool:
        """Whether it is known of any picture what it shows."""
        return any(case.truth != 2 for case in self.cases)

    @property
    def has_outlines(self) -> bool:
        """Whether a true outline is there to see."""
        return any(case.true for case in self.cases)


Block = Numbers | Table | Facts | Notes | Pictures | Scores | Cases


@dataclass(frozen=True, slots=True)
class Part:
    """An answer, and what it rests on."""

    title: str
    answer: Sequence[Said]
    blocks: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Page:
    """One document: its parts below each other."""

    title: str
    parts: Sequence[Part]
