"""Whatever lies in a folder is a sample, somebody's mask, or told; and nothing that is called bad is learned."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.support import noise, noise_mask

from kizu.core.errors import DataError
from kizu.core.split import Split
from kizu.data.layouts import folder, mvtec_ad
from kizu.data.listing import list_good_images, list_images
from kizu.data.manifest import Manifest, Sample
from kizu.data.passed import Passed
from kizu.data.words import Kind, say
from kizu.imaging.codec import png_bytes

WORDS = (
    "good",
    "ok_2",
    "bad",
    "NG",
    "crack",
    "masks",
    "ground_truth",
    "train",
    "test",
    "monday",
    "colour",
    "images",
)
FILES = (
    "0.png",
    "1.png",
    "0.bmp",
    "0_mask.png",
    "1_label.png",
    "x.gif",
    ".h.png",
    "n.txt",
    "raw",
    "0.png.png",
)
TREES = st.dictionaries(
    st.lists(st.sampled_from(WORDS), max_size=3).map("/".join),
    st.dictionaries(
        st.sampled_from(FILES), st.sampled_from(("picture", "mask", "empty")), min_size=1, max_size=4
    ),
    min_size=1,
    max_size=5,
)
CONTENT = {"mask": png_bytes(noise_mask()), "empty": png_bytes(np.zeros((32, 40), bool))}
ALWAYS = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def laid(root: Path, tree: dict[str, dict[str, str]]) -> int:
    """The tree on disk; how many files there are."""
    count = 0
    for place, files in tree.items():
        for name, kind in files.items():
            path = root / place / name
            path.parent.mkdir(parents=True, exist_ok=True)
            count += 1
            if name == "x.gif":
                path.write_bytes(b"GIF89a")
            elif name == "n.txt":
                path.write_text("x")
            else:
                path.write_bytes(CONTENT.get(kind) or png_bytes(noise(count)))
    return count


def told(notes: tuple[str, ...]) -> int:
    """How many files the notes count."""
    return sum(
        int(note.partition(" passed over: ")[2].split()[0]) for note in notes if " passed over: " in note
    )


def accounted(manifest: Manifest) -> int:
    masks = {sample.mask_path for sample in manifest.samples if sample.mask_path is not None}
    assert len(masks) == sum(sample.mask_path is not None for sample in manifest.samples)  # none is borrowed
    assert not masks & {sample.path for sample in manifest.samples}
    return len(manifest) + len(masks) + told(manifest.notes)


def ensure_called_good(root: Path, samples: tuple[Sample, ...]) -> None:
    for sample in samples:
        kinds = {kind for part in sample.path.relative_to(root).parts[:-1] for kind in say(part).kinds}
        assert kinds <= {Kind.GOOD}, sample.id


@ALWAYS
@given(tree=TREES)
def test_a_folder_is_accounted_for_or_refused(tree: dict[str, dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="parts") as place:
        root = Path(place).resolve()
        count = laid(root, tree)
        try:
            manifest = folder.scan(root)
        except DataError as error:
            event("refused" if error.hint else "refused without a hint")
            return
        event("read")
        assert accounted(manifest) == count
        good = tuple(sample for sample in manifest.samples if sample.label == "good")
        ensure_called_good(root, good)
        words = any(not say(part).nothing for place in tree for part in place.split("/"))
        for sample in good if words else ():
            assert any(say(part).kinds for part in sample.path.relative_to(root).parts[:-1]) or any(
                path.stem.startswith(f"{sample.path.stem}_") or path.stem == sample.path.stem
                for path in sample.path.parent.iterdir()
                if path != sample.path
            )


@ALWAYS
@given(tree=TREES)
def test_an_update_learns_only_what_is_called_good(tree: dict[str, dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="parts") as place:
        root = Path(place).resolve()
        laid(root, tree)
        try:
            samples = list_good_images(root, Passed())
        except DataError:
            return
        ensure_called_good(root, samples)
        assert not any(
            say(part).split in (Split.TEST, Split.VALIDATION)
            for sample in samples
            for part in sample.path.relative_to(root).parts[:-1][-1:]
        )


@ALWAYS
@given(tree=TREES)
def test_a_category_is_accounted_for_or_refused(tree: dict[str, dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="parts") as place:
        root = Path(place).resolve()
        tree = {"train/good": {"8.png": "picture"}, **tree}
        count = laid(root, tree)
        try:
            manifest = mvtec_ad.scan(root)
        except DataError:
            return
        hidden_elsewhere = sum(
            name in (".h.png", "n.txt")
            for place, files in tree.items()
            for name in files
            if place and place.split("/")[0] not in ("train", "test", "ground_truth")
        )
        assert accounted(manifest) == count - hidden_elsewhere
        ensure_called_good(root, manifest.train_good())


@ALWAYS
@given(tree=TREES)
def test_a_listing_is_accounted_for(tree: dict[str, dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory(prefix="parts") as place:
        root = Path(place).resolve()
        count = laid(root, tree)
        for without_masks in (False, True):
            passed = Passed()
            found = list_images(root, may_be_empty=True, without_masks=without_masks, passed=passed)
            assert len(found) + sum(row.count for row in passed.rows()) == count
            assert len({sample.id for sample in found}) == len(found)
