"""What there is to work with on this machine, and whether a small job of each kind comes out right."""

import os
import shutil
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kizu.backbones.added import added_names
from kizu.core.errors import KizuError
from kizu.core.files import is_writable
from kizu.core.provenance import machine, package_versions
from kizu.core.types import U8
from kizu.core.work import Work, free_memory
from kizu.pipeline.config import PipelineConfig
from kizu.tasks.fit import fit

EXTRAS = {
    "openvino": "openvino", "serve": "fastapi", "report": "matplotlib", "demo": "elpv_dataset", "sign": "cryptography",
    "submit": "tifffile", "tune": "torch",
}  # fmt: skip
"""Extra -> a package that it brings."""
_SIDE, _GOOD = 64, 8


class Finding(NamedTuple):
    """One thing that was looked at."""

    name: str
    said: str
    is_well: bool = True


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """All of them."""

    findings: tuple[Finding, ...]

    @property
    def is_well(self) -> bool:
        """Whether nothing is wrong."""
        return all(finding.is_well for finding in self.findings)


def diagnose(cache: Path, work: Work) -> Diagnosis:
    """Machine, versions, runtimes, places, weights, and a self-test; `cache`: where graphs are kept."""
    here, versions = machine(), package_versions()
    kizu = versions.pop("kizu", "not installed")
    findings = [
        Finding("kizu", f"{kizu}, Python {here['python']}, {here['system']} {here['processor']}"),
        Finding("packages", ", ".join(f"{name} {number}" for name, number in versions.items())),
        Finding("cores", f"{work.core_count} of {here['cores']} that may be used"),
        Finding("memory", f"{free_memory() >> 20} MB free"),
        _place("cache", cache),
        Finding("extras", _extras()),
        _weights(),
        Finding("settings", _settings() or "no KIZU_ variable is set"),
    ]
    runtimes = ["onnxruntime", *(["openvino"] if find_spec("openvino") else [])]
    tests = [_self_test(work.with_runtime(name)) for name in runtimes]  # type: ignore[arg-type]
    return Diagnosis((*findings, *tests))


def _place(name: str, folder: Path) -> Finding:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    is_well = is_writable(folder)
    told = f"{folder}, {size >> 20} MB, {free >> 20} MB free" + ("" if is_well else "; it cannot be written")
    return Finding(name, told, is_well)


def _extras() -> str:
    found = {extra: find_spec(package) is not None for extra, package in EXTRAS.items()}
    there = ", ".join(extra for extra, is_there in found.items() if is_there) or "none"
    missing = ", ".join(extra for extra, is_there in found.items() if not is_there)
    return there + (f"; not installed: {missing}" if missing else "")


def _weights() -> Finding:
    name = PipelineConfig().embedding.backbone
    try:
        fit(_pictures()[:2], PipelineConfig(), group="none")
    except KizuError as error:
        return Finding("weights", f"{name} cannot be opened: {error.message}", False)
    added = ", ".join(added_names())
    return Finding("weights", f"{name} opens" + (f"; added: {added}" if added else ""))


def _settings() -> str:
    return ", ".join(
        f"{name}={value}" for name, value in sorted(os.environ.items()) if name.startswith("KIZU_")
    )


def _self_test(work: Work) -> Finding:
    """Fit on drawn parts, and tell a flawed one from a good one: the whole way that a picture goes."""
    name = f"self-test, {work.runtime}"
    start = time.perf_counter()
    try:
        is_well, told = _try(work)
    except KizuError as error:
        is_well, told = False, error.message
    return Finding(name, f"{told}; {time.perf_counter() - start:.1f} s", is_well)


def _try(work: Work) -> tuple[bool, str]:
    config = PipelineConfig.parse(
        {"embedding": {"backbone": "tiny"}, "placement": {"image_size": _SIDE}}, where="self-test"
    )
    *good, spare = _pictures(_GOOD + 1)
    inspector = fit(good, config, group="none", work=work)
    flawed = spare.copy()
    flawed[20:34, 30:44] = 255 - flawed[20:34, 30:44]
    plain, found = inspector.inspect(spare), inspector.inspect(flawed)
    y, x = np.unravel_index(int(found.map.argmax()), found.map.shape)
    is_there = 12 <= y < 42 and 22 <= x < 52
    if found.score > plain.score and found.label == "NG" and is_there:
        return True, "a flaw was found where it is"
    return (
        False,
        f"a flaw scored {found.score:.4g} beside {plain.score:.4g} and was seen at {x}, {y}: not as it should",
    )


def _pictures(count: int = _GOOD) -> list[U8]:
    """Discs on a ground, each with noise of its own."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIDE, :_SIDE] - _SIDE / 2
    disc = np.where(x * x + y * y < (0.4 * _SIDE) ** 2, 170, 60)[..., None]
    return [
        np.clip(disc + rng.normal(0, 6, (_SIDE, _SIDE, 3)), 0, 255).astype(np.uint8) for _ in range(count)
    ]
