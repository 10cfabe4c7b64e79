"""What a service is told: one closed schema for flags, environment and file, of which the first that speaks wins."""

import os
from collections.abc import Mapping
from difflib import get_close_matches
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import Field, field_validator, model_validator

from kizu.core.config import Config
from kizu.core.errors import ConfigError
from kizu.decision.policy import PolicyConfig

PREFIX = "KIZU_SERVE_"
FILE_VARIABLE = f"{PREFIX}CONFIG"
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


class ProductSettings(PolicyConfig):
    """How pictures of a product are decided on, as `kizu inspect` takes it."""

    roi: Path | None = None
    """Where flaws count: JSON polygons, or a picture. The map then decides, not the image score."""
    ignore: Path | None = None
    """Where flaws do not count."""

    @property
    def policy(self) -> PolicyConfig:
        """The part that is about regions."""
        return PolicyConfig(**{name: getattr(self, name) for name in PolicyConfig.model_fields})


class ServeSettings(Config):
    """All that can be set."""

    runs: tuple[Path, ...] = ()
    """Run folders, bundle folders, exported files, or folders of them. In a variable: with `:` between them (`;` on
    Windows)."""
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """0: any that is free."""
    keys_file: Path | None = None
    """Who may call. None: everybody, which only a loopback address may say without `no_auth`."""
    no_auth: bool = False
    """Everybody may call, whatever the address."""
    open_metrics: bool = False
    """`/metrics` asks for no key."""
    workers: Count | None = None
    """Inspections at once; None: as many as cores."""
    queue_length: Annotated[int, Field(ge=0)] = 32
    """Requests that may wait beside those that run; beyond it the answer is 503."""
    max_per_client: Count | None = None
    """Requests that one key, or without keys one address, may have here at once; beyond it the answer is 429."""
    max_body_mb: Annotated[float, Field(gt=0)] = 32
    max_batch_files: Count = 16
    max_batch_mb: Annotated[float, Field(gt=0)] = 128
    max_megapixels: Annotated[float, Field(gt=0)] = 100
    max_connections: Count = 512
    body_s: Seconds = 15
    """A body takes no longer to arrive."""
    wait_s: Seconds = 30
    """No request waits longer for its turn."""
    inspect_s: Seconds = 60
    """No caller waits longer for one picture that is being inspected."""
    grace_s: Seconds = 30
    """What runs when the service is told to stop has so long to end."""
    min_free_mb: Annotated[float, Field(ge=0)] = 64
    """With less room on the temporary disk it is not ready."""
    refresh_s: Annotated[float, Field(ge=0)] = 10
    """Every so often it looks for new models, and for versions that came into force; 0: only when it is asked to."""
    memory_mb: Count | None = None
    """What open models may take together; the others are opened when they are asked for. None: all stay open."""
    decision: ProductSettings = ProductSettings()
    """Holds for every product that `products` does not name."""
    products: dict[str, ProductSettings] = Field(default_factory=dict)

    @field_validator("runs", mode="before")
    @classmethod
    def _several(cls, given: Any) -> Any:
        return tuple(part for part in given.split(os.pathsep) if part) if isinstance(given, str) else given

    @model_validator(mode="after")
    def _is_open_on_purpose(self) -> Self:
        if self.no_auth and self.keys_file is not None:
            raise ConfigError("no_auth and keys_file contradict each other", hint="give one of them")
        if not (self.no_auth or self.keys_file is not None or is_loopback(self.host)):
            raise ConfigError(
                f"on {self.host} others can reach it, so it needs keys",
                hint="make one with kizu serve-key add and give --keys-file, or say --no-auth",
            )
        return self

    def decision_of(self, name: str) -> ProductSettings:
        """What holds for one product."""
        return self.products.get(name, self.decision)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings(flags: Mapping[str, Any], environment: Mapping[str, str]) -> ServeSettings:
    """Flags (those that were given; `config` names the file) over `KIZU_SERVE_*` over the file.

    Raises `ConfigError` for what is no setting, wherever it stands.
    """
    flags = dict(flags)
    named = flags.pop("config", None) or environment.get(FILE_VARIABLE) or None
    values = {} if named is None else _read_file(Path(named))
    values = _over(values, _of_variables(environment))
    values = _over(values, flags)
    return ServeSettings.parse(values, where="settings of the service")


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`decision` key by key; everything else as a whole."""
    joined = {**below, **above}
    if isinstance(below.get("decision"), Mapping) and isinstance(above.get("decision"), Mapping):
        joined["decision"] = {**below["decision"], **above["decision"]}
    return joined


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        told = error.strerror if isinstance(error, OSError) else error
        raise ConfigError(f"{path} cannot be read: {told}", hint="give a YAML file with settings") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds no settings", hint="write one to a line, such as port: 8000")
    ServeSettings.parse({**values, "no_auth": True, "keys_file": None}, where=str(path))  # names the file
    return values


def _of_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """A value is YAML: `[a, b]` is a list, `{roi: x.json}` a table. An empty one counts as not set."""
    found: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE or not text.strip():
            continue
        name = variable.removeprefix(PREFIX).lower()
        if name not in ServeSettings.model_fields:
            near = get_close_matches(name, list(ServeSettings.model_fields), n=1)
            hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else "docs/service.md lists them"
            raise ConfigError(f"{variable} is no setting of the service", hint=hint)
        try:
            found[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"{variable}={text} cannot be read", hint="give a plain value") from error
    return found
