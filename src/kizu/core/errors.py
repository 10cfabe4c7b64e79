"""One tree of errors. Each says what went wrong, with which value, and what to do about it.

Below the command line and the service nobody knows an exit code or an HTTP status.
"""

from pathlib import Path


class KizuError(Exception):
    """Base of all errors a user can cause or mend."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\nhint: {self.hint}"


class ConfigError(KizuError):
    """A setting is unknown, of the wrong kind, or out of its range."""


class DataError(KizuError):
    """A data set is missing, empty or contradictory."""


class ImageError(DataError):
    """One file cannot be used as an image. `path` names it when it came from disk."""

    def __init__(self, message: str, *, path: Path | None = None, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class UnreadableError(ImageError):
    """A file could not be read now, for a reason that is not in it: too many open files, no memory, a share that is
    away. The same file may be read later."""


class MismatchError(ImageError):
    """A sound picture is not such as the model looks at: of another size or depth, or beside the region of interest."""


class LeakageError(DataError):
    """Data crossed a wall between splits."""


class CalibrationError(DataError):
    """The calibration images cannot support the threshold that was asked for."""


class BackboneError(KizuError):
    """A backbone, its weights or its graph cannot be used."""


class BundleError(KizuError):
    """A bundle is missing, changed or of another version."""


class OutputError(KizuError):
    """Results cannot be written where they were asked for."""


class ScoreError(KizuError):
    """A scorer gave, or was given, something that is not a finite number."""


class CancelledError(KizuError):
    """The work was called off before it was done."""


class MissingExtraError(KizuError):
    """An optional dependency is needed and not installed."""
