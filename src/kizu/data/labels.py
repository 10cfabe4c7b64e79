"""Which of the pictures below a folder are good, bad or masks: by the names of folders, and by masks beside pictures.

Without a word that says so in any folder's name, all pictures are good. With one, each is what its folders say: a
folder that is called neither is passed over by name, unless masks of its own name say that it holds defects; and what
contradicts itself, or leaves no good picture to learn from, is refused with a list of what is there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

import yaml

from kizu.core.errors import DataError, ImageError
from kizu.core.split import Split
from kizu.data.claims import Place, is_called_like_a_mask, is_mask, keys_of, masks_beside, split_companions
from kizu.data.lots import Lot, walk
from kizu.data.passed import Passed, Reason
from kizu.data.words import Kind, Said, say
from kizu.imaging.codec import decode_mask

DEFECT = "defect"
"""The kind of a bad picture that no folder names."""
_NEUTRAL = frozenset({"image", "images", "img", "imgs", "picture", "pictures"})
"""Folders that masks do not have where pictures have them."""
_OF_FILES = ("broken", "damag", "missing")
"""Names of flaws that files have as well as parts."""
_LISTED = 12


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture, and what is said about it."""

    path: Path
    kind: Kind | None
    """None: nothing is said."""
    split: Split | None
    defect: str
    place: Place
    """Where its mask lies among the masks: its folders but for those that say what it is."""
    head: str
    """The folder that decides, for messages."""
    mask: Path | None = None
    """The one beside it."""
    is_unclear: bool = False
    """Its folders contradict each other."""


def read_pictures(base: Path, passed: Passed, *, may_name: bool = True) -> list[Picture]:
    """All pictures below `base`, each with what names say, also those of which they say nothing; see the module.
    `may_name`: settings can say more.

    Raises `DataError` where they cannot be told apart, listing folders, counts and the settings that name them.
    """

    def refuse(why: str) -> NoReturn:
        _refuse(pictures, base, why, may_name=may_name, notes=passed.notes())

    lots = list(walk(base, passed, follow=lambda name: not say(name).nothing))
    pictures = [picture for lot in lots for picture in _judge(lot, passed)]
    if any(p.is_unclear for p in pictures):
        refuse(f"the names of folders in {base} contradict each other")
    if all(say(part).nothing for lot in lots for part in lot.parts) and all(
        p.kind is not Kind.MASK for p in pictures
    ):
        if Kind.BAD in say(base.name).kinds:
            refuse(f"{base} is called as if its pictures were not good")
        called = [p.path.name for p in pictures if p.kind is None and _is_called_bad(p.path.stem)]
        if called:
            refuse(
                f"{len(called)} pictures in {base} are called as if they were not good, such as {called[0]}"
            )
        return _with_rest_good(pictures, passed)
    pictures = _with_mirrored(pictures)
    if not any(p.kind is Kind.GOOD and p.split in (None, Split.TRAIN) for p in pictures):
        refuse(f"no folder in {base} is known to hold good pictures to learn from")
    _tell_unknown(pictures, passed)
    return pictures


def read_named(
    folder: Path, kind: Kind, base: Path, passed: Passed, *, others: Sequence[Path] = ()
) -> list[Picture]:
    """The pictures below a folder that somebody said the kind of; but for those in `others`, which lie in it.

    Raises `DataError` where a folder below it is called otherwise.
    """
    lots = [
        lot for lot in walk(folder, passed) if not any(lot.folder.is_relative_to(other) for other in others)
    ]
    if kind is Kind.MASK:
        return [
            Picture(lot.path(name), kind, None, DEFECT, lot.parts, lot.place)
            for lot in lots
            for name in lot.names
        ]
    pictures = [
        replace(p, defect=(*lot.parts, DEFECT)[0], place=lot.parts)
        for lot in lots
        for p in _judge(lot, passed, named=kind)
    ]
    if any(p.is_unclear or p.kind is not kind for p in pictures):
        _refuse(pictures, base, f"{folder} was named as {kind}, and folders in it are called otherwise")
    return pictures


def _judge(lot: Lot, passed: Passed, *, named: Kind | None = None) -> Iterable[Picture]:
    """What is said about each picture of a lot. `named`: what somebody said of a folder that it lies in."""
    said = [say(part) for part in lot.parts]
    kinds = frozenset(kind for one in said for kind in one.kinds) | ({named} if named else set())
    split = next((one.split for one in reversed(said) if one.split is not None), None)
    place = tuple(
        part
        for part, one in zip(lot.parts, said, strict=True)
        if _tells_apart(one) and part.lower() not in _NEUTRAL
    )
    decides = max((index for index, one in enumerate(said) if not one.nothing), default=0) + 1
    head = "/".join(lot.parts[:decides]) or "."
    if Kind.MASK in kinds:
        return [Picture(lot.path(n), Kind.MASK, split, DEFECT, place, head) for n in lot.names]
    kind = next(iter(kinds)) if len(kinds) == 1 else None
    whole = Picture(lot.folder, kind, split, _defect(lot.parts, said), place, head, is_unclear=len(kinds) > 1)
    _tell_late_split(lot, said, named, passed)
    names, companions = split_companions(lot, passed, twins=True)
    beside = masks_beside(lot, companions)
    return [
        replace(whole, path=lot.path(n), kind=Kind.MASK)
        if named is None and is_called_like_a_mask(n) and is_mask(lot.path(n))  # of a picture elsewhere
        else _with_companion(replace(whole, path=lot.path(n)), beside.get(n), passed)
        for n in names
    ]


def _tell_late_split(lot: Lot, said: Sequence[Said], named: Kind | None, passed: Passed) -> None:
    """A split below the folder that says good or bad may be meant otherwise: `good/test_rig`."""
    kind = -1 if named else next((index for index, one in enumerate(said) if one.kinds), len(said))
    split = next((one.split for one in said[kind + 1 :] if one.split is not None), None)
    if split is not None:
        passed.remark(
            f"for {split}, as the name of their folder says: {len(lot.names)} pictures in {lot.place}"
        )


def _tells_apart(said: Said) -> bool:
    """Whether a folder is one of several alike: no word but the name of a flaw."""
    return said.nothing or said.names_flaw


def _defect(parts: tuple[str, ...], said: Sequence[Said]) -> str:
    """The first folder below the one that says bad; or that one itself, where it is called after a flaw."""
    for index, one in enumerate(said):
        if Kind.BAD in one.kinds:
            return parts[index] if one.names_flaw else (*parts[index + 1 :], DEFECT)[0]
    return DEFECT


def _with_companion(picture: Picture, mask: Path | None, passed: Passed) -> Picture:
    """With the mask beside it: of a picture that nothing is said of it says whether it is good."""
    if mask is None or picture.is_unclear:
        return picture
    if picture.kind is Kind.BAD:
        return replace(picture, mask=mask)
    if picture.kind is None and _marks(mask):
        return replace(picture, mask=mask, kind=Kind.BAD)
    passed.add(Reason.COMPANION, f"{picture.head}/{mask.name}".removeprefix("./"))
    return replace(picture, kind=Kind.GOOD)


def _marks(mask: Path) -> bool:
    """Whether it marks a flaw; one that cannot be decoded may."""
    try:
        return bool(decode_mask(mask).any())
    except ImageError:
        return True


def _is_called_bad(stem: str) -> bool:
    """Whether a file is called as a bad part is, and not as a file that is itself damaged."""
    return Kind.BAD in say(stem).kinds and not stem.casefold().startswith(_OF_FILES)


def _with_rest_good(pictures: Sequence[Picture], passed: Passed) -> list[Picture]:
    """Nobody says otherwise of them."""
    bad = sum(p.kind is Kind.BAD for p in pictures)
    if bad:
        rest = sum(p.kind is None for p in pictures)
        passed.remark(
            f"taken for defects: {bad} pictures with a flaw in the mask beside them;"
            f" for good: {len(pictures) - bad - rest} with an empty one, {rest} without a mask"
        )
    return [replace(p, kind=p.kind or Kind.GOOD) for p in pictures]


def _with_mirrored(pictures: Sequence[Picture]) -> list[Picture]:
    """Folders that nothing is said of hold defects where each picture has a mask in a folder of the same name, and all
    masks there mark something."""
    masks: dict[Place, list[Path]] = {}
    stems: dict[Place, set[str]] = {}
    for p in pictures:
        if p.kind is Kind.MASK:
            masks.setdefault(p.place, []).append(p.path)
        elif p.kind is None and p.place:
            stems.setdefault(p.place, set()).add(p.path.stem)
    mirrored = {
        place
        for place, wanted in stems.items()
        if wanted <= {key for mask in masks.get(place, ()) for key in keys_of(mask.name)}
        and all(map(_marks, masks[place]))
    }
    return [
        replace(p, kind=Kind.BAD, defect=p.place[-1]) if p.kind is None and p.place in mirrored else p
        for p in pictures
    ]


def _tell_unknown(pictures: Sequence[Picture], passed: Passed) -> None:
    counts: dict[str, int] = {}
    for picture in pictures:
        if picture.kind is None:
            counts[picture.head] = counts.get(picture.head, 0) + 1
    for head, count in counts.items():
        passed.add(Reason.UNKNOWN, f"{head}: {count}", count)


def _refuse(
    pictures: Sequence[Picture], base: Path, why: str, *, may_name: bool = True, notes: Sequence[str] = ()
) -> NoReturn:
    """With what there is, and the settings that would say what it is."""
    counts: dict[tuple[str, str], int] = {}
    for p in pictures:
        key = (p.head, "unclear" if p.is_unclear else p.kind or "not said")
        counts[key] = counts.get(key, 0) + 1
    told = [f"{head} ({count}, {what})" for (head, what), count in list(counts.items())[:_LISTED]]
    more = [f"{len(counts) - _LISTED} more"] if len(counts) > _LISTED else []
    by_kind: dict[str, list[str]] = {"good_dir": [], "bad_dir": [], "mask_dir": []}
    for head, what in counts:
        by_kind[{"good": "good_dir", "mask": "mask_dir", "not said": "good_dir"}.get(what, "bad_dir")].append(
            head
        )
    options = {
        name: heads[0] if len(heads) == 1 else heads[:_LISTED]
        for name, heads in by_kind.items()
        if heads or name == "good_dir"
    }
    settings = {"data": {"layout": "folder", "root": str(base), "options": options}}
    text = yaml.safe_dump(settings, default_flow_style=True, sort_keys=False, width=10_000).strip()
    named = f"say which are good, in a file for --config, corrected where this guess is wrong: {text}"
    alone = "name a folder of good pictures alone, or sort them into one that is called good"
    raise DataError(
        f"{why}: {', '.join([*told, *more]) or 'there is no picture'}",
        hint="; ".join([*notes, named if may_name else alone]),
    )
