"""Rank a folder of pictures without one good image."""

from dataclasses import dataclass

from kizu.bundles.store import ensure_outside
from kizu.core.locks import locked
from kizu.core.parts import sweep_file_parts
from kizu.core.work import Work
from kizu.data.batches import LeftOut
from kizu.data.listing import list_images
from kizu.data.passed import Passed
from kizu.lab.zero_shot import Ranked, ZeroShotConfig, rank_images, write_ranking
from kizu.pipeline.placing import place_for
from kizu.tasks.lab_options import RankOptions
from kizu.tasks.options import parse_size
from kizu.tasks.train import drop_none


@dataclass(frozen=True, slots=True)
class Ranking:
    """The pictures, least usual first, and those that cannot be read, with the reason."""

    ranked: list[Ranked]
    left_out: LeftOut


def rank(options: RankOptions, work: Work) -> Ranking:
    """Rank them, and write `ranking.jsonl` and the overlays of the least usual ones.

    Raises `OutputError` for a place in a bundle.
    """
    ensure_outside(options.output_dir)
    image_size = parse_size(options.image_size) if options.image_size else None
    config = ZeroShotConfig.parse(
        {
            "embedding": drop_none(backbone=options.backbone),
            "placement": drop_none(image_size=image_size),
            "seed": options.seed,
        },
        where="options",
    )
    left_out, passed = LeftOut(), Passed()
    images = list_images(options.folder, without_masks=True, passed=passed)
    work.note(*passed.notes())
    config = config.model_copy(
        update={"placement": place_for(config.placement, config.embedding, images, work)}
    )
    ranked = rank_images(images, config, left_out=left_out, work=work)
    with locked(options.output_dir):
        sweep_file_parts(options.output_dir / "overlays")
        write_ranking(options.output_dir, ranked, left_out, config, overlays=options.overlays)
    return Ranking(ranked, left_out)
