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
_GOOD_WHOLE = frozenset({"ok", "okay"})
_GOOD_ALONE = frozenset({"io", "pass", "passed", "gut"})
"""With other words they mean other things: an io board, a second pass."""
_GOOD_WITHIN = ("good", "normal", "良品", "正常", "合格", "양품", "정상")
_BAD_WHOLE = frozenset({"ng", "nok", "ko", "nio", "nogo", "def"})
_BAD_START = (
    "bad",
    "fail",
    "fault",
    "scrap",
    "reject",
    "fehler",
    "schlecht",
    "ausschuss",
    "défaut",
    "difett",
)
_BAD_WITHIN = (
    *("defect", "anomal", "abnormal", "faulty", "flaw", "notok", "notgood", "nogood"),
    *("不良", "不合格", "不正常", "非正常", "異常", "异常", "欠陥", "缺陷", "불량", "비정상", "결함"),
)
_FREE = ("free", "less", "frei", "los")
"""What a word ends with that says there is none: defectfree, fehlerlos."""
_FLAW_WHOLE = frozenset(
    {"dent", "dents", "dented", "bent", "rust", "rusty", "burr", "burrs", "stain", "stains"}
)
_FLAW_START = ("crack", "scratch", "broken", "damag", "contaminat", "missing", "misplac", "corro", "misprint")
_MASK_WHOLE = frozenset({"gt", "seg"})
_MASK_WITHIN = ("mask", "label", "groundtruth", "annotation", "segment", "マスク", "掩码", "掩膜")
_VALIDATION = frozenset({"val", "valid", "validation", "dev"})
_NOT = frozenset({"no", "not", "non", "without", "nicht", "ohne", "un"})


def say(name: str) -> Said:
    """What a folder's name says. Upper and lower case, digits and signs between words do not matter."""
    plain = unicodedata.normalize("NFKC", name)
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[^\x00-\u02ff])", " ", plain)  # okParts, OK品
    words = [word.casefold() for word in re.findall(r"[^\W\d_]+", parted)]
    joined = "".join(words)
    kinds: set[Kind] = set()
    flaw = False
    for before, word, after in zip(["", *words], words, [*words[1:], ""], strict=False):
        kind, is_flaw = _kind(word)
        if kind is Kind.GOOD and before in _NOT:
            kind = Kind.BAD
        elif kind is Kind.BAD and not is_flaw and (before in _NOT or after in _FREE):
            kind = Kind.GOOD
        if kind is not None:
            kinds.add(kind)
        flaw = flaw or is_flaw
    if not kinds:  # i.O., n.i.O., ground_truth, cracks1
        kinds = {kind for kind, _ in [_kind(joined)] if kind is not None}
        kinds |= {Kind.GOOD} if joined in _GOOD_ALONE else set()
    if _says_mask(joined):
        kinds.add(Kind.MASK)
    return Said(frozenset(kinds), _split(words), flaw and kinds == {Kind.BAD})


def _kind(word: str) -> tuple[Kind | None, bool]:
    """What one word says, and whether it is the name of a flaw."""
    if word in _MASK_WHOLE or _says_mask(word):
        return Kind.MASK, False
    if word in _BAD_WHOLE or word.startswith(_BAD_START) or any(text in word for text in _BAD_WITHIN):
        return (Kind.GOOD if word.endswith(_FREE) else Kind.BAD), False
    if word in _FLAW_WHOLE or word.startswith(_FLAW_START):
        return Kind.BAD, True
    if word in _GOOD_WHOLE or any(text in word for text in _GOOD_WITHIN):
        return Kind.GOOD, False
    return None, False


def _says_mask(word: str) -> bool:
    return any(text in word for text in _MASK_WITHIN) and not word.startswith("unlabel")


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
