"""Where weights are published: addresses, licences, and what the publishers say that the files are.

No more stands here than is certain. Torchvision's file names end in the first 8 digits of their SHA-256 (the rule of
`torch.hub.load_state_dict_from_url`), and it states their sizes. Of DINO and DINOv2 no hash is published.
"""

from __future__ import annotations

from dataclasses import dataclass

from kizu.backbones.architectures import architectures

_TORCHVISION = "https://download.pytorch.org/models"
_META = "https://dl.fbaipublicfiles.com"


@dataclass(frozen=True, slots=True)
class Published:
    """One file of weights."""

    architecture: str
    address: str
    licence: str
    """SPDX."""
    sha256_start: str = ""
    """As many digits as the publisher states; "": none."""
    megabytes: float | None = None
    """2^20 bytes, as the publisher states; None: not stated."""

    @property
    def file(self) -> str:
        """What the publisher calls the file."""
        return self.address.rsplit("/", 1)[1]


def _torchvision(architecture: str, digits: str, megabytes: float) -> Published:
    address = f"{_TORCHVISION}/{architecture}-{digits}.pth"
    return Published(architecture, address, "BSD-3-Clause", sha256_start=digits, megabytes=megabytes)


def _dinov2(size: str) -> Published:
    name = f"dinov2_{size}"
    return Published(name, f"{_META}/dinov2/{name}/{name}_pretrain.pth", "Apache-2.0")


PUBLISHED = {
    "resnet18": _torchvision("resnet18", "f37072fd", 44.661),
    "resnet34": _torchvision("resnet34", "b627a593", 83.275),
    "resnet50": _torchvision("resnet50", "0676ba61", 97.781),
    "wide_resnet50_2": _torchvision("wide_resnet50_2", "95faca4d", 131.82),
    "dinov2_vits14": _dinov2("vits14"),
    "dinov2_vitb14": _dinov2("vitb14"),
    "dinov2_vitl14": _dinov2("vitl14"),
    "dino_vits16": Published(
        "dino_vits16", f"{_META}/dino/dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth", "Apache-2.0"
    ),
    "deit_small_patch16_224": Published(
        "deit_small_patch16_224",
        f"{_META}/deit/deit_small_patch16_224-cd65a155.pth",
        "Apache-2.0",
        sha256_start="cd65a155",
    ),
}
"""Keys: the names that the backbones get, unless others are given. All were trained on ImageNet or by Meta on LVD-142M,
whose pictures have terms of their own."""


def fetchable() -> dict[str, Published]:
    """Those of `PUBLISHED` whose architecture can be drawn here."""
    drawn = architectures()
    return {name: published for name, published in PUBLISHED.items() if published.architecture in drawn}
