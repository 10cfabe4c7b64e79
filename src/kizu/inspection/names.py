"""What the pictures of an inspection are called: no two of one name, none that a file system refuses."""

from pathlib import PurePosixPath

from kizu.core.hashing import hash_value

ENDINGS = (".png", ".jpg")
"""Put behind the name of a mask and of an overlay."""
MAX_NAME_BYTES = 255 - 4
"""File systems allow 255 bytes to each part of a path."""


class PictureNames:
    """Names that are taken, each by one picture, and the folders that they lie in.

    A picture is called by its id with its suffix, so that a.jpg and a.png do not meet. Where that is taken, too long,
    or a folder where a file should be, a mark made of the picture's own path is put to it.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, str] = {}
        self._folders: set[str] = set()

    def take(self, name: str, key: str) -> None:
        """`name` belongs to the picture `key`, as files that are there already say."""
        self._by_name[name] = key
        self._folders.update(_folders_of(name))

    def name(self, wanted: str, key: str) -> str:
        """What the pictures of `key` are called, as near to `wanted` as can be."""
        name = wanted if self._is_free(wanted, key) else _marked(wanted, key)
        self.take(name, key)
        return name

    def _is_free(self, name: str, key: str) -> bool:
        if any(len(part.encode(errors="surrogateescape")) > MAX_NAME_BYTES for part in name.split("/")):
            return False
        if self._by_name.get(name, key) != key or any(name + ending in self._folders for ending in ENDINGS):
            return False
        return not any(
            folder.endswith(ending) and folder.removesuffix(ending) in self._by_name
            for folder in _folders_of(name)
            for ending in ENDINGS
        )


def _folders_of(name: str) -> list[str]:
    return [parent.as_posix() for parent in PurePosixPath(name).parents if parent.name]


def _marked(wanted: str, key: str) -> str:
    """Of the wanted name no more than the end of its last part, so that it lies beside all others and fits."""
    last = PurePosixPath(wanted).name[-40:].encode(errors="replace").decode().replace("?", "_")
    path = PurePosixPath(last)
    return f"{path.stem}-{hash_value(key)[:12]}{path.suffix}"
