"""Options of `kizu tune`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from kizu.tasks.options import Flag


@dataclass(frozen=True, slots=True)
class TuneOptions:
    """What is tuned, and where it goes; what is None is the setting's default."""

    backbone: Annotated[
        str | None, Flag("vit_s14_focus or an EfficientNet-Lite. Default: efficientnet_lite0.")
    ] = None
    placement: Annotated[
        str | None,
        Flag(
            "Where adapters lie: attention or mlp (transformers), pointwise (EfficientNet-Lite), or after. Default:"
            " attention, pointwise."
        ),
    ] = None
    epochs: Annotated[
        int | None, Flag("Epochs at most; it ends earlier when validation is no better.", least=1)
    ] = None
    rank: Annotated[int | None, Flag("Of the adapters.", least=1)] = None
    images: Annotated[int | None, Flag("Good images that are tuned on at most. Default: 100.", least=4)] = (
        None
    )
    side_px: Annotated[int | None, Flag("Height and width that it is tuned at. Default: 224.", least=32)] = (
        None
    )
    seed: Annotated[int | None, Flag("All randomness comes from it.", least=0)] = None
    output_dir: Annotated[Path, Flag("Where tuned backbones go.")] = Path("runs/tune")
    run_id: Annotated[str | None, Flag("Name of the folder. Default: category, backbone and seed.")] = None
