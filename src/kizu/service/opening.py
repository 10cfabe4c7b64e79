"""From settings to the shelf that is served."""

from logging import getLogger

from kizu.core.errors import ConfigError
from kizu.core.work import Work
from kizu.imaging.codec import Limits
from kizu.imaging.roi import read_roi
from kizu.inspection.shelf import Looking, Shelf
from kizu.service.settings import ProductSettings, ServeSettings

_log = getLogger("kizu.service.models")


def open_shelf(settings: ServeSettings, work: Work = Work()) -> Shelf:
    """The models of `settings.runs`, one of each product.

    A path that was given and cannot be taken is refused; of a folder of models the others are served, and the log
    tells.
    Raises `ConfigError`, and what `Shelf.open` raises.
    """
    if not settings.runs:
        raise ConfigError("there is nothing to serve", hint="kizu serve RUN")
    shelf = Shelf.open(
        settings.runs,
        memory_mb=settings.memory_mb,
        work=work,
        looking={name: _looking(product) for name, product in settings.products.items()},
        otherwise=_looking(settings.decision),
        limits=Limits(max_pixels=round(settings.max_megapixels * 1e6)),
        one_of_each=True,
    )
    for problem in shelf.problems():
        if problem.path in settings.runs:
            raise ConfigError(problem.message, hint=problem.hint or "repair it, or leave it out")
    tell_problems(shelf)
    return shelf


def tell_problems(shelf: Shelf) -> None:
    """One line in the log for each model that could not be taken."""
    for problem in shelf.problems():
        _log.warning("model not taken path=%s why=%s", problem.path, problem.message)


def _looking(settings: ProductSettings) -> Looking:
    return Looking(settings.policy, read_roi(settings.roi, settings.ignore))
