"""The colours of an overlay are told apart by everybody, and from the parts that they lie on.

Differences are CIEDE2000, where 2 is just seen and 10 at a glance. Kinds of colour vision after Machado, Oliveira
and Fernandes, "A Physiologically-based Model for Simulation of Color Vision Deficiency", 2009, severity 1.
"""

import numpy as np
import pytest

from kizu.core.types import F64
from kizu.imaging.overlay import FOUND, HEAT_TABLE, TRUE

color = pytest.importorskip("skimage.color")

VISION = {
    "usual": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
PARTS = {
    "black": (0, 0, 0), "dark grey": (80, 80, 80), "grey": (120, 120, 120), "light grey": (200, 200, 200),
    "white": (255, 255, 255), "yellow": (230, 190, 40), "red": (190, 40, 35), "brown": (120, 72, 40),
    "copper": (184, 115, 51), "solder mask": (30, 95, 60),
}  # fmt: skip


def seen(rgb: object, kind: str) -> F64:
    """(N, 3) of 0..255 as CIELAB, as that kind of eye has it."""
    part = np.atleast_2d(np.asarray(rgb, float)) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    turned = np.clip(linear @ np.asarray(VISION[kind]).T, 0, 1)
    lab: F64 = color.rgb2lab(
        np.where(turned <= 0.0031308, turned * 12.92, 1.055 * turned ** (1 / 2.4) - 0.055)
    )
    return lab


@pytest.mark.parametrize("kind", VISION)
@pytest.mark.parametrize("part", PARTS)
def test_the_upper_half_of_the_heat_stands_out_on_parts_of_any_colour(kind: str, part: str) -> None:
    base = np.array(PARTS[part], float)
    mixed = base + (HEAT_TABLE[128:] - base) * 0.75
    assert color.deltaE_ciede2000(seen(mixed, kind), seen(base, kind)).min() > 8


def test_steps_of_the_heat_look_alike_large() -> None:
    lab = seen(HEAT_TABLE[::15], "usual")
    steps = color.deltaE_ciede2000(lab[:-1], lab[1:])
    assert steps.std() < 0.1 * steps.mean()


@pytest.mark.parametrize("kind", VISION)
def test_the_two_outlines_and_the_heat_are_told_apart(kind: str) -> None:
    found, true, heat = seen(FOUND, kind), seen(TRUE, kind), seen(HEAT_TABLE, kind)
    assert color.deltaE_ciede2000(found, true)[0] > 25
    assert color.deltaE_ciede2000(heat, found).min() > 15
    assert color.deltaE_ciede2000(heat, true).min() > 15
