"""Flaws that are painted into good images, with the mask of each: the one room where pixels are spoilt on purpose.

`looks` has flaws as they look on parts, by name; what judges fits, shows the demo and has a stated size rests on them.
`stages` draws from three families of anything that a good part does not show, for what learns from flaws.
"""

from kizu.data.defects.looks import PAINTERS
from kizu.data.defects.stages import KINDS, STAGES, Painted, Stage, paint_stages
from kizu.data.defects.strokes import Flawed, Painter

__all__ = ["KINDS", "PAINTERS", "STAGES", "Flawed", "Painted", "Painter", "Stage", "paint_stages"]
