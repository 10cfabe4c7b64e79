"""Ways a data set lies on disk. One file each; `scan(root, category)` lists it as a `Manifest`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.data.annotated import AnnotatedOptions
from kizu.data.layouts import (
    btad,
    coco,
    datumaro,
    demo,
    elpv,
    folder,
    kolektor,
    mpdd,
    mvtec_ad,
    mvtec_ad2,
    mvtec_loco,
    real_iad,
    visa,
)
from kizu.data.layouts.files import Example
from kizu.data.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Layout:
    """A way to lie on disk, and what may be set about it."""

    scan: Callable[..., Manifest]
    options: type[Config] | None = None
    example: Example = field(default_factory=dict)
    """Good images to learn from, good and flawed ones to test with; empty: the layout makes its own images."""

    def __call__(
        self, root: Path | None = None, category: str | None = None, options: Mapping[str, Any] | None = None
    ) -> Manifest:
        """List what is on disk. None: the layout's own default, where it has one.

        Raises `DataError` when it is not there, `ConfigError` for an option that the layout does not have.
        """
        if not options:
            return self.scan(root, category)
        if self.options is None:
            raise ConfigError(f"this layout has no options, got {', '.join(options)}")
        return self.scan(root, category, self.options.parse(options, where="data options"))


LAYOUTS: Mapping[str, Layout] = {
    "mvtec_ad": Layout(mvtec_ad.scan, example=mvtec_ad.EXAMPLE),
    "mvtec_ad2": Layout(mvtec_ad2.scan, mvtec_ad2.GoodValidation, mvtec_ad2.EXAMPLE),
    "mvtec_loco": Layout(mvtec_loco.scan, mvtec_ad2.GoodValidation, mvtec_loco.EXAMPLE),
    "visa": Layout(visa.scan, visa.VisaOptions, visa.EXAMPLE),
    "btad": Layout(btad.scan, example=btad.EXAMPLE),
    "mpdd": Layout(mpdd.scan, example=mpdd.EXAMPLE),
    "kolektor": Layout(kolektor.scan, kolektor.KolektorOptions, kolektor.EXAMPLE),
    "real_iad": Layout(real_iad.scan, real_iad.RealIadOptions, real_iad.EXAMPLE),
    "datumaro": Layout(datumaro.scan, AnnotatedOptions, datumaro.EXAMPLE),
    "coco": Layout(coco.scan, AnnotatedOptions, coco.EXAMPLE),
    "folder": Layout(folder.scan, folder.FolderOptions, folder.EXAMPLE),
    "elpv": Layout(elpv.scan, elpv.ElpvOptions, elpv.EXAMPLE),
    "demo": Layout(demo.scan, demo.DemoOptions),
}
