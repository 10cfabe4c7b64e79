"""What all that an inspection writes has in common: it is closed, strict, and describes itself as a JSON Schema."""

from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, ConfigDict, Strict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, SkipJsonSchema
from pydantic_core import core_schema

from kizu.core.config import Config

T = TypeVar("T")


class Written(Config):
    """Base of what is written and read again: no unknown key, no text for a number, no NaN, no infinity."""

    model_config = ConfigDict(strict=True)

    def as_json(self) -> dict[str, Any]:
        """The keys in their order, with values as `json` takes them; what was not given is left out."""
        return self.model_dump(mode="json", exclude_unset=True)


def _not_null(value: T | None) -> T:
    if value is None:
        raise ValueError("should be left out, not null")
    return value


MayBeAbsent = Annotated[T | SkipJsonSchema[None], BeforeValidator(_not_null)]
"""A key that is there with a value, or is not there; in Python then None."""

Listed = Annotated[T, Strict(False)]
"""A tuple here, an array in JSON; what is in it stays strict."""


class _FieldsAlone(GenerateJsonSchema):
    """Descriptions say what a field is: no titles made of names, no defaults for what may be absent."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def json_schema(adapter: TypeAdapter[Any], title: str) -> dict[str, Any]:
    """The JSON Schema (Draft 2020-12) of what `adapter` takes."""
    made = adapter.json_schema(schema_generator=_FieldsAlone)
    return {"$schema": _FieldsAlone.schema_dialect, **made, "title": title}
