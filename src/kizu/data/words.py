"""What the name of a folder says about the pictures in it: good, bad, masks; for which split."""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

from kizu.core.split import Split


class Kind(StrEnum):
    """What pictures are."""

    GOOD = "good"
    BAD = "bad"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class Said:
    """What one name says; nothing, where no word in it is known."""

    kinds: frozenset[Kind] = frozenset()
    split: Split | None = None
    names_flaw: bool = False
    """It is bad by the name of a flaw, such as crack, and not by a word such as NG."""

    @property
    def nothing(self) -> bool:
        """Whether no word is known."""
        return not self.kinds and self.split is None


# Short words count as whole words only, longer ones also inside one: NG and mangan, goodparts and badlot.
_GOOD_WHOLE = frozenset({"ok", "okay", "io", "pass", "passed", "gut", "flawless"})
_GOOD_WITHIN = ("good", "normal")
_BAD_WHOLE = frozenset({"ng", "nok", "ko", "nio", "nogo", "def", "fehler", "schlecht", "ausschuss"})
_BAD_START = ("bad", "fail", "fault", "scrap", "reject")
_BAD_WITHIN = ("defect", "anomal", "abnormal", "faulty", "flaw", "notok", "notgood", "nogood")
_FLAW_WHOLE = frozenset(
    {"dent", "dents", "dented", "bent", "rust", "rusty", "burr", "burrs", "stain", "stains"}
)
_FLAW_START = ("crack", "scratch", "broken", "damag", "contaminat", "missing", "misplac", "corro", "misprint")
_MASK_WHOLE = frozenset({"gt", "seg"})
_MASK_WITHIN = ("mask", "label", "groundtruth", "annotation", "segment")
_VALIDATION = frozenset({"val", "valid", "validation", "dev"})
_NOT = frozenset({"no", "not", "non", "without", "nicht", "ohne", "un"})


def say(name: str) -> Said:
    """What a folder's name says. Upper and lower case, digits and signs between words do not matter."""
    plain = unicodedata.normalize("NFKC", name)
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", plain)  # okParts
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", parted)]
    joined = "".join(words)
    kinds: set[Kind] = set()
    flaw = False
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        kind, is_flaw = _kind(word)
        if kind is Kind.GOOD and before in _NOT:
            kind = Kind.BAD
        elif kind is Kind.BAD and not is_flaw and (before in _NOT or after in ("free", "less")):
            kind = Kind.GOOD
        if kind is not None:
            kinds.add(kind)
        flaw = flaw or is_flaw
    if not kinds:  # i.O., n.i.O., ground_truth, cracks1
        kinds = {kind for kind, _ in [_kind(joined)] if kind is not None}
    if any(text in joined for text in _MASK_WITHIN):
        kinds.add(Kind.MASK)
    return Said(frozenset(kinds), _split(words), flaw and kinds == {Kind.BAD})


def _kind(word: str) -> tuple[Kind | None, bool]:
    """What one word says, and whether it is the name of a flaw."""
    if word in _MASK_WHOLE or any(text in word for text in _MASK_WITHIN):
        return Kind.MASK, False
    if word in _BAD_WHOLE or word.startswith(_BAD_START) or any(text in word for text in _BAD_WITHIN):
        return (
            Kind.GOOD if word in _GOOD_WHOLE or word.endswith(("defectfree", "defectless")) else Kind.BAD
        ), False
    if word in _FLAW_WHOLE or word.startswith(_FLAW_START):
        return Kind.BAD, True
    if word in _GOOD_WHOLE or any(text in word for text in _GOOD_WITHIN):
        return Kind.GOOD, False
    return None, False


def _split(words: list[str]) -> Split | None:
    """The last split that is named: `train_val` is for validation."""
    found = None
    for word in words:
        if word.startswith("train"):
            found = Split.TRAIN
        elif word in _VALIDATION:
            found = Split.VALIDATION
        elif word.startswith("test"):
            found = Split.TEST
    return found
