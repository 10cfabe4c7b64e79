"""`kizu cache`"""

from typing import Annotated

from kizu.cli.printing import say
from kizu.tasks.options import Flag


def cache(clean: Annotated[bool, Flag("Remove them.", ("--clean",))] = False) -> None:
    """Tell how many features are kept on disk. KIZU_FEATURES_MB says how much may be (0, the default: nothing)."""
    from kizu.backbones.features import cache_size, clean_cache

    size = cache_size()
    if clean:
        clean_cache()
    verb = "removed" if clean else "holds"
    say(f"{size.folder} {verb} the features of {size.entries} images, {size.bytes / 2**20:.0f} MB")
