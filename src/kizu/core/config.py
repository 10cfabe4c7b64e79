"""Settings are frozen and closed: an unknown key is an error that names the key it was probably meant to be."""

from difflib import get_close_matches
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from kizu.core.errors import ConfigError


class Config(BaseModel):
    """Base of every settings class."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @classmethod
    def parse(cls, values: Any, *, where: str) -> Self:
        """Validate `values`; raise `ConfigError` in plain words. `where` names the source (a file, "--layers")."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{where}: {_in_plain_words(cls, error)}") from error
        except ConfigError as error:  # of a part that is parsed by itself
            raise ConfigError(f"{where}: {error.message}", hint=error.hint) from error


class Stored(Config):
    """Base of what an own file holds: keys that another version wrote beside ours are passed over."""

    model_config = ConfigDict(extra="ignore")


def _in_plain_words(cls: type[BaseModel], error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
        if problem["type"] == "extra_forbidden":
            near = get_close_matches(str(problem["loc"][-1]), list(cls.model_fields), n=1)
            lines.append(f"unknown key {key!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
        elif problem["type"] == "missing":
            lines.append(f"{key!r} is missing")
        else:
            lines.append(f"{key}: {problem['msg']}, got {problem['input']!r}")
    return "; ".join(lines)
