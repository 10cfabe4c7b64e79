"""Shifts of a line: what another mounting, lamp, lens or camera does to a picture, image and mask together.

One table. Each shift has five severities whose strengths are written here, in its own unit; severity 0 is the picture
itself. The order of the table is the order in which a composition applies them, that of the light: where the part
lies, what lights it, the lens, the sensor, the camera's processing, the file.
"""

from collections.abc import Mapping

from kizu.core.registry import look_up
from kizu.data.shifts.base import Geometric, Photometric, Shift
from kizu.data.shifts.camera import (
    blur_defocus,
    blur_motion,
    compress,
    draw_angle,
    draw_field,
    lose_resolution,
    noise_gaussian,
    noise_shot,
)
from kizu.data.shifts.geometry import (
    crop_and_resize,
    draw_corners,
    draw_sign,
    draw_window,
    move,
    rotate,
    stretch,
    tilt,
)
from kizu.data.shifts.lens import draw_dust, draw_scratches, shade_corners, show_dust, show_scratches
from kizu.data.shifts.light import (
    balance_white,
    bend,
    brighten,
    change_contrast,
    change_saturation,
    expose,
    light_from_a_side,
)

SHIFTS: Mapping[str, Shift] = {
    "rotation": Geometric(rotate, draw_sign, (2, 4, 6, 8, 10), "degrees at most, about the centre"),
    "resized_crop": Geometric(
        crop_and_resize,
        draw_window,
        (0.02, 0.04, 0.06, 0.08, 0.1),
        "of the area cut off at most, the rest enlarged",
    ),
    "aspect": Geometric(
        stretch, draw_sign, (0.02, 0.04, 0.06, 0.08, 0.1), "width over height changed at most"
    ),
    "translation": Geometric(move, draw_window, (0.02, 0.04, 0.06, 0.08, 0.1), "of each side at most"),
    "perspective": Geometric(
        tilt, draw_corners, (0.01, 0.02, 0.03, 0.04, 0.05), "of each side at most, by each corner"
    ),
    "illumination": Photometric(
        light_from_a_side,
        draw_angle,
        (0.06, 0.12, 0.18, 0.24, 0.3),
        "brighter on one side, darker on the other",
    ),
    "dust": Photometric(
        show_dust,
        draw_dust,
        (0.08, 0.16, 0.24, 0.32, 0.4),
        "opacity of eight spots out of focus",
        of_lens=True,
    ),
    "scratches": Photometric(
        show_scratches, draw_scratches, (0.05, 0.1, 0.15, 0.2, 0.25), "opacity of three streaks", of_lens=True
    ),
    "vignetting": Photometric(
        shade_corners, None, (0.1, 0.2, 0.3, 0.4, 0.5), "darker in the corners, as the squared distance"
    ),
    "defocus": Photometric(blur_defocus, None, (3, 3.5, 4, 4.5, 5), "pixels, diameter of the disc"),
    "motion_blur": Photometric(blur_motion, draw_angle, (3, 3.5, 4, 4.5, 5), "pixels, length of the path"),
    "exposure": Photometric(expose, draw_sign, (0.1, 0.2, 0.3, 0.4, 0.5), "stops at most, in linear light"),
    "resolution": Photometric(
        lose_resolution, None, (1.25, 1.5, 2, 2.5, 3), "pixels that become one, each way"
    ),
    "shot_noise": Photometric(
        noise_shot,
        draw_field,
        (0.01, 0.02, 0.03, 0.04, 0.05),
        "sigma at white, as the root of the brightness",
    ),
    "gaussian_noise": Photometric(
        noise_gaussian, draw_field, (0.01, 0.02, 0.03, 0.04, 0.05), "sigma, white is 1"
    ),
    "white_balance": Photometric(
        balance_white, draw_sign, (0.03, 0.06, 0.09, 0.12, 0.15), "red over blue at most, as a logarithm"
    ),
    "brightness": Photometric(brighten, draw_sign, (0.06, 0.12, 0.18, 0.24, 0.3), "changed at most"),
    "contrast": Photometric(change_contrast, draw_sign, (0.06, 0.12, 0.18, 0.24, 0.3), "changed at most"),
    "saturation": Photometric(change_saturation, draw_sign, (0.06, 0.12, 0.18, 0.24, 0.3), "changed at most"),
    "gamma": Photometric(
        bend, draw_sign, (0.06, 0.12, 0.18, 0.24, 0.3), "of the exponent at most, as a logarithm"
    ),
    "jpeg": Photometric(compress, None, (80, 65, 50, 35, 20), "quality"),
}

COMPOSITIONS: Mapping[str, tuple[str, ...]] = {
    "mvtec_shift": (
        "rotation",
        "resized_crop",
        "aspect",
        "defocus",
        "gaussian_noise",
        "brightness",
        "contrast",
        "saturation",
    ),
    "geometry": ("rotation", "resized_crop", "aspect", "translation", "perspective"),
    "lighting": (
        "illumination",
        "vignetting",
        "exposure",
        "white_balance",
        "brightness",
        "contrast",
        "saturation",
        "gamma",
    ),
    "shift_a": ("rotation", "translation", "perspective", "illumination", "exposure", "white_balance"),
    "shift_b": ("dust", "vignetting", "motion_blur", "resolution", "shot_noise", "gamma", "jpeg"),
}
"""`mvtec_shift`: a part laid down otherwise, light and focus a little off. `shift_a`: another mounting and lamp.
`shift_b`: another lens, camera and file. Each component has the composition's severity."""

SEVERITIES = 5


def choose_shifts(name: str) -> tuple[str, ...]:
    """The shifts of a composition, or the one of that name, in the order in which they are applied.

    Raises `ConfigError` for a name that neither table has.
    """
    names = COMPOSITIONS.get(name) or (name,)
    for part in names:
        look_up(dict.fromkeys([*SHIFTS, *COMPOSITIONS]), part, noun="shift")
    return tuple(part for part in SHIFTS if part in names)
