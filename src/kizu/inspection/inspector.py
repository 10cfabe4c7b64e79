"""One image in, one verdict out."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, Self

from kizu.bundles.manifest import Bundle, BundleManifest
from kizu.bundles.store import load
from kizu.core.errors import BundleError, ImageError, MismatchError
from kizu.core.types import F32, HW, U8, Scorer
from kizu.core.work import Work
from kizu.data.batches import Source, place_source
from kizu.decision.policy import Policy, PolicyConfig
from kizu.decision.regions import highest_spot
from kizu.decision.thresholds import Threshold
from kizu.imaging.arrays import PillowImage, pillow_to_array
from kizu.imaging.overlay import HEAT_RANGE as HEAT_RANGE
from kizu.imaging.placement import PlacementConfig, map_back, seen_part
from kizu.imaging.roi import Roi
from kizu.imaging.tiling import as_seen
from kizu.inspection.found import Inspection as Inspection
from kizu.inspection.many import JudgeEach
from kizu.inspection.rethreshold import KeptScores, Wanted, with_manifest
from kizu.pipeline.opened import open_pipeline
from kizu.runs.versions import bundle_in_force
from kizu.runtimes.model import ModelFile, is_model_file, read_model


def bundle_folder(path: Path) -> Path:
    """The bundle of a run folder, of its versions the one in force; or the folder itself."""
    return bundle_in_force(path) if (path / "bundle").is_dir() else path


class Inspector:
    """A bundle, or a model file, made ready to look at images. Safe to call from several threads.

    It stays as it is: another threshold is another inspector.
    """

    manifest: BundleManifest
    policy: Policy
    roi: Roi | None
    _source: Bundle | ModelFile
    _category: str | None
    _work: Work
    _kept: KeptScores
    _scorer: Scorer
    _zones: F32 | None
    _picture_hw: HW | None

    def __init__(
        self,
        source: Bundle | ModelFile,
        *,
        category: str | None = None,
        policy: PolicyConfig = PolicyConfig(),
        roi: Roi | None = None,
        work: Work = Work(),
        pipeline: Scorer | None = None,
        kept: KeptScores = KeptScores(),
    ) -> None:
        """`category`: which one's thresholds hold, for a model of several. Raises `BundleError` for no such one.

        `roi`: flaws count only there, and the map decides in place of the image score, which is of the whole picture.
        `pipeline`: what scores for it, if open already. `kept`: where the scores are that its thresholds rest on.
        """
        manifest = source.manifest.for_category(category)
        vars(self).update(
            _source=source,
            _category=category,
            _work=work,
            _kept=kept,
            _scorer=pipeline or _open(source, work),
            _zones=manifest.thresholds.pixel_field(manifest.placement.seen_hw),
            _picture_hw=source.picture_hw if isinstance(source, ModelFile) else None,
            manifest=manifest,
            policy=Policy(manifest.thresholds, policy),
            roi=roi,
        )

    def __setattr__(self, name: str, value: object = None) -> NoReturn:
        raise AttributeError(
            f"{name!r} of an inspector cannot be set: with_threshold(...) gives another one, and Inspector.open does"
        )

    __delattr__ = __setattr__

    @classmethod
    def open(cls, folder: Path | str, *, signed_by: Path | None = None, **options: Any) -> Self:
        """From a run folder, a bundle folder or a file that `kizu export` wrote; `options` as for the constructor.

        `signed_by`: the PEM file of the public key that must have signed the file. Raises `BundleError`.
        """
        path = Path(folder)
        if is_model_file(path):
            return cls(read_model(path, signed_by=signed_by), **options)
        if signed_by is not None:
            raise BundleError(
                f"{path} is not an exported file, and only those are signed", hint="give the file"
            )
        bundle = load(bundle_folder(path))
        run = path if (path / "bundle").is_dir() else None
        return cls(bundle, kept=KeptScores(run, bundle.manifest.version), **options)

    @property
    def placement(self) -> PlacementConfig:
        """How pictures are given to it: as they come, where the file resizes them itself."""
        if self._picture_hw is None:
            return self.manifest.placement
        return PlacementConfig(image_size=self._picture_hw, scale=self.manifest.placement.scale)

    def ensure_fits(self, size: HW, path: Path | None = None) -> None:
        """Raises `MismatchError` for a picture (H, W) of another size than the file takes, and where of one of this
        size nothing that is looked at lies in the region of interest."""
        if self._picture_hw not in (None, size):
            raise MismatchError(
                f"{path or 'the picture'} is {size[0]} x {size[1]} pixels, and the model takes only"
                f" {self._picture_hw[0]} x {self._picture_hw[1]}",
                path=path,
                hint="export without --input-size for pictures of any size",
            )
        if self.roi is not None and not _is_seen(self.roi, size, self.manifest.placement):
            raise MismatchError(
                f"{path or 'the image'}: nothing that is looked at in its {size[0]} x {size[1]} pixels (height x width)"
                " lies in the region of interest",
                path=path,
                hint='corners are [x, y] in pixels of the image; with "unit": "fraction" they fit images of any size',
            )

    def __reduce__(self) -> tuple[Any, ...]:
        """It is opened anew where it arrives."""
        options = (self._category, self.policy.config, self.roi, self._work.portable(), self._kept)
        return _reopen, (type(self), self._source, *options)

    @property
    def threshold(self) -> Threshold:
        """That of image scores; in a region of interest the map decides."""
        return self.manifest.thresholds.image

    def with_threshold(
        self,
        value: float | Threshold | None = None,
        *,
        pixel: float | Threshold | None = None,
        false_alarm_rate: float | None = None,
        confidence: float | None = None,
        good_scores: F32 | Sequence[float] | None = None,
    ) -> Self:
        """Another inspector, of the same model, with another threshold; nothing is scored, and this one stays as it is.

        By `value`, and `pixel` for the pixel threshold: these promise nothing. Or by the `false_alarm_rate` that is to
        be kept, on average or with a `confidence`, on the good images that set the thresholds before, images and pixels
        alike; or the image threshold alone on `good_scores` (N,) of images that were not fitted on. A pixel threshold
        takes the place of zones. Its bundle has another hash.
        Raises `ConfigError` for what is not one of these, `CalibrationError` where images cannot support the rate.
        """
        wanted = Wanted(value, pixel, false_alarm_rate, confidence, good_scores)
        manifest = wanted.change(self.manifest, self._kept, self._category)
        return type(self)(
            with_manifest(self._source, manifest),
            category=self._category,
            policy=self.policy.config,
            roi=self.roi,
            work=self._work,
            pipeline=self._scorer,
            kept=self._kept,
        )

    @property
    def work(self) -> Work:
        """What it may use."""
        return self._work

    @property
    def bundle_sha256(self) -> str:
        """Hash of the stored bundle; before it is stored, of its manifest and arrays."""
        return self._source.bundle_sha256

    @property
    def bundle(self) -> Bundle:
        """What it was opened from. Raises `BundleError` for a model file, which holds no bundle."""
        if isinstance(self._source, ModelFile):
            raise BundleError(
                f"{self._source.path} holds no bundle", hint="open the run folder it was made from"
            )
        return self._source

    def __repr__(self) -> str:
        m = self.manifest
        return f"Inspector({m.category}, {m.model}, version {m.version}, {self.threshold.describe()})"

    def inspect(self, image: str | Source | PillowImage) -> Inspection:
        """Inspect a file, its bytes, an array (H, W), (H, W, 3) or (H, W, 4), or an image of Pillow's.

        What it returns knows the image, and can draw on it. Raises `ImageError`.
        """
        source = Path(image) if isinstance(image, str) else image
        if isinstance(source, PillowImage):
            source = pillow_to_array(source)
        return replace(self._inspect(source), source=source, scale=self.manifest.placement.scale)

    def inspect_many(
        self,
        images: Iterable[str | Source | PillowImage],
        *,
        workers: int | None = None,
        skip_broken: bool = False,
    ) -> Iterator[Inspection | ImageError]:
        """Inspect images as they are asked for, in their order, `workers` at a time (None: as many as cores).

        An image that cannot be inspected raises its `ImageError` in its place, which ends all; with `skip_broken` the
        error itself stands there, and the others go on.
        """
        judge = JudgeEach(self, skip_broken)
        for _, found in self._work.share(judge, images, workers=workers):
            yield found

    def _inspect(self, source: Source) -> Inspection:
        placed = place_source(source, self.placement)
        self.ensure_fits(placed.size, source if isinstance(source, Path) else getattr(source, "path", None))
        return self.inspect_placed(placed.image[None], [placed.size])[0]

    def show(self, image: Path) -> tuple[U8, Inspection]:
        """What is said of a file, and the picture (H, W, 3) as it was looked at, to draw on."""
        placed = place_source(image, self.placement, keep_original=True)
        assert placed.original is not None
        return placed.original, self.inspect_placed(placed.image[None], [placed.size])[0]

    def inspect_placed(self, images: U8, sizes: Sequence[HW]) -> list[Inspection]:
        """Inspect images (N, H, W, 3) at the network's input size whose originals were of `sizes`."""
        return list(self.judge(images, sizes))

    def judge(self, images: U8, sizes: Sequence[HW]) -> Iterator[Inspection]:
        """The same, scored together and then decided one by one as they are asked for: maps as large as the originals
        are never held together. What is raised for one does not end the others."""
        scores = self._scorer.score(images)
        return map(self._decide, map(float, scores.image), scores.maps, sizes)

    def _decide(self, score: float, net_map: F32, size: HW) -> Inspection:
        self.ensure_fits(size)
        placement = self.manifest.placement
        anomaly_map = map_back(net_map, size, placement)
        zones = None if self._zones is None else map_back(self._zones, size, placement)
        if self.roi is None:
            verdict = self.policy.decide(score, anomaly_map, zones)
        else:
            verdict = self.policy.decide_by_map(anomaly_map, self.roi.mask(size), zones)
        spot = None
        if verdict.label == "NG" and not verdict.regions.found:
            spot = highest_spot(anomaly_map, self.policy.pixel_threshold if zones is None else zones)
        return Inspection(
            label=verdict.label,
            score=verdict.score,
            threshold=self.policy.thresholds.image.value if self.roi is None else self.policy.pixel_threshold,
            pixel_threshold=self.policy.pixel_threshold,
            map=anomaly_map,
            mask=verdict.regions.mask,
            regions=verdict.regions.found,
            by=verdict.by,
            reason=verdict.reason,
            spot=spot,
        )


@lru_cache(maxsize=64)
def _is_seen(roi: Roi, size: HW, placement: PlacementConfig) -> bool:
    return bool(roi.mask(size)[seen_part(size, placement)].any())


def _open(source: Bundle | ModelFile, work: Work) -> Scorer:
    if isinstance(source, ModelFile):
        return as_seen(source.scorer(work), source.manifest.placement)
    return open_pipeline(source, work)


def _reopen(
    kind: type[Inspector],
    source: Bundle | ModelFile,
    category: str | None,
    policy: PolicyConfig,
    roi: Roi | None,
    work: Work,
    kept: KeptScores,
) -> Inspector:
    return kind(source, category=category, policy=policy, roi=roi, work=work, kept=kept)
