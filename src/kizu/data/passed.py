"""What a look into folders passed over: counted by reason, with the first few names, and whether it was pictures."""

from dataclasses import dataclass
from enum import StrEnum

_NAMED = 5
"""So many are named of each reason; the others are counted."""


class Reason(StrEnum):
    """Why something is not among the images, in words that a number may follow."""

    HIDDEN = "hidden files and folders"
    NO_PICTURE = "files that are no pictures"
    OTHER_FORMAT = "pictures in a format that Kizu does not read"
    UNREADABLE = "files that cannot be opened to see what they are"
    UNFINISHED = "files that are not written to their end, as their names say"
    SPECIAL = "pipes, sockets and devices"
    LINKED = "linked folders"
    OWN_OUTPUT = "folders that Kizu wrote"
    COMPANION = "masks beside their pictures"
    MASK_FOLDER = "files in folders that are called masks"
    NO_MATCH = "pictures that the pattern leaves out"
    UNKNOWN = "pictures in folders whose names say neither good nor bad"
    UNCLAIMED_MASK = "masks that no defect claims"
    ELSEWHERE = "pictures outside the folders of the layout"
    NOT_LEARNED = "pictures that are not for learning, as their folders' names say"


_PICTURES = frozenset(
    {Reason.OTHER_FORMAT, Reason.NO_MATCH, Reason.UNKNOWN, Reason.ELSEWHERE, Reason.NOT_LEARNED}
)


NOT_READ = frozenset({Reason.OTHER_FORMAT, Reason.UNREADABLE})
"""With these it cannot be said that every picture was looked at."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """What was passed over for one reason."""

    reason: Reason
    count: int
    names: tuple[str, ...]
    """The first few, as paths below what was looked into."""

    @property
    def is_pictures(self) -> bool:
        """Whether these are pictures that somebody may have wanted looked at."""
        return self.reason in _PICTURES

    def told(self) -> str:
        """In words: "hidden files and folders passed over: 2 (.DS_Store, ._a.png)"."""
        more = ", ..." if len(self.names) == _NAMED and self.count > _NAMED else ""
        return f"{self.reason} passed over: {self.count} ({', '.join(self.names)}{more})"


class Passed:
    """Collects what is passed over, and what else is worth a note."""

    def __init__(self) -> None:
        self._counts: dict[Reason, int] = {}
        self._names: dict[Reason, list[str]] = {}
        self._remarks: list[str] = []

    def add(self, reason: Reason, name: str, count: int = 1) -> None:
        """`name`: the file; or a folder with `count` of them."""
        self._counts[reason] = self._counts.get(reason, 0) + count
        names = self._names.setdefault(reason, [])
        if len(names) < _NAMED:
            names.append(name)

    def remark(self, text: str) -> None:
        """A note about what was taken."""
        self._remarks.append(text)

    def rows(self) -> tuple[PassedOver, ...]:
        """By reason, in the order of `Reason`."""
        return tuple(
            PassedOver(reason, self._counts[reason], tuple(self._names[reason]))
            for reason in Reason
            if reason in self._counts
        )

    def notes(self) -> tuple[str, ...]:
        """All of it in words."""
        return (*(row.told() for row in self.rows()), *self._remarks)
