"""Where weights are published: addresses, licences, and what the publishers say that the files are.

No more stands here than is certain. Torchvision's file names end in the first 8 digits of their SHA-256 (the rule of
`torch.hub.load_state_dict_from_url`), and it states their sizes; so do DeiT's names. Of DINO and DINOv2 no hash is
published. Licences are those of the repositories that publish the weights; of the pictures that they were trained on
nobody says more.
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


def _dinov2(size: str, ending: str = "") -> Published:
    """`ending`: "_reg", of those with registers, which the file's name counts."""
    name, file = f"dinov2_{size}", f"dinov2_{size}{'_reg4' if ending else ''}_pretrain.pth"
    return Published(name + ending, f"{_META}/dinov2/{name}/{file}", "Apache-2.0")


def _dino(architecture: str, told: str) -> Published:
    """`told`: what the publisher calls it."""
    return Published(
        architecture, f"{_META}/dino/dino_{told}_pretrain/dino_{told}_pretrain.pth", "Apache-2.0"
    )


def _deit(size: str, digits: str) -> Published:
    architecture = f"deit_{size}_patch16_224"
    return Published(
        architecture, f"{_META}/deit/{architecture}-{digits}.pth", "Apache-2.0", sha256_start=digits
    )


PUBLISHED = {
    "resnet18": _torchvision("resnet18", "f37072fd", 44.661),
    "resnet34": _torchvision("resnet34", "b627a593", 83.275),
    "resnet50": _torchvision("resnet50", "0676ba61", 97.781),
    "wide_resnet50_2": _torchvision("wide_resnet50_2", "95faca4d", 131.82),
    "dinov2_vits14": _dinov2("vits14"),
    "dinov2_vitb14": _dinov2("vitb14"),
    "dinov2_vitl14": _dinov2("vitl14"),
    "dinov2_vits14_reg": _dinov2("vits14", "_reg"),
    "dinov2_vitb14_reg": _dinov2("vitb14", "_reg"),
    "dinov2_vitl14_reg": _dinov2("vitl14", "_reg"),
    "dino_vits16": _dino("dino_vits16", "deitsmall16"),
    "dino_vits8": _dino("dino_vits8", "deitsmall8"),
    "dino_vitb16": _dino("dino_vitb16", "vitbase16"),
    "dino_vitb8": _dino("dino_vitb8", "vitbase8"),
    "deit_tiny_patch16_224": _deit("tiny", "a1311bcf"),
    "deit_small_patch16_224": _deit("small", "cd65a155"),
    "deit_base_patch16_224": _deit("base", "b5f2ef4d"),
}
"""Keys: the names that the backbones get, unless others are given."""


def fetchable() -> dict[str, Published]:
    """Those of `PUBLISHED` whose architecture can be drawn here."""
    drawn = architectures()
    return {name: published for name, published in PUBLISHED.items() if published.architecture in drawn}
