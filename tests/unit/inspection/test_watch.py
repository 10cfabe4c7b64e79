"""A drop folder: half-written files wait, whole ones are given once."""

from pathlib import Path

from kizu.data.manifest import Sample
from kizu.inspection.watch import arrivals


class Folder:
    """Pictures appear and grow at each look, as told."""

    def __init__(self, root: Path, looks: list[dict[str, bytes]]) -> None:
        self.root, self.looks, self.look = root, looks, 0

    def __call__(self) -> list[Sample]:
        if self.look < len(self.looks):
            for name, content in self.looks[self.look].items():
                (self.root / name).write_bytes(content)
        self.look += 1
        return [Sample(path.name, path) for path in sorted(self.root.iterdir())]


def names(folder: Folder, idle: float = 0.0) -> list[list[str]]:
    found = arrivals(folder, idle_seconds=idle, sleep=lambda _: None)
    return [[sample.id for sample in piece] for piece in found]


def test_a_file_is_given_when_it_has_stayed_as_it_is(tmp_path: Path) -> None:
    folder = Folder(
        tmp_path,
        [{"a": b"12"}, {"b": b"1"}, {"b": b"12"}, {"b": b"123"}, {}, {"c": b""}, {}, {"c": b"1"}, {}],
    )
    found = arrivals(folder, idle_seconds=0.5, sleep=lambda _: None)
    seen = []
    for piece in found:
        seen.append(([sample.id for sample in piece], folder.look))
        if len(seen) == 3:
            break
    assert [names for names, _ in seen] == [["a"], ["b"], ["c"]]
    assert [look for _, look in seen] == [2, 5, 9]


def test_each_file_is_given_once_and_what_vanishes_is_forgotten(tmp_path: Path) -> None:
    class Vanishing(Folder):
        def __call__(self) -> list[Sample]:
            samples = super().__call__()
            return [*samples, Sample("gone", self.root / "gone")]

    assert names(Vanishing(tmp_path, [{"a": b"1"}, {}, {}, {}])) in ([["a"]], [])
    folder = Vanishing(tmp_path, [{"a": b"1", "b": b"2"}, {}, {}])
    assert names(folder, idle=0.05) == [["a", "b"]]
