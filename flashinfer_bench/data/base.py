"""What all stored models share: unknown keys survive, infinities are written as strings."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

NonEmptyString = Annotated[str, Field(min_length=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]


class StoredModel(BaseModel):
    """A record of the dataset; keys it does not know are kept and written back."""

    model_config = ConfigDict(
        extra="allow",
        ser_json_inf_nan="strings",
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )


class TaggedModel(StoredModel):
    """One kind of several; its `type` is always written, also when nobody set it."""

    type: str

    @model_serializer(mode="wrap")
    def _with_type(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"type": self.type, **handler(self)}


def unknown_keys(record: BaseModel, at: str = "") -> list[str]:
    """Dotted places of all keys in `record` that the schema does not name."""
    found = [f"{at}{key}" for key in record.model_extra or {}]
    for name in type(record).model_fields:
        found += _unknown_in(getattr(record, name), f"{at}{name}")
    return found


def _unknown_in(value: object, at: str) -> list[str]:
    if isinstance(value, BaseModel):
        return unknown_keys(value, f"{at}.")
    if isinstance(value, dict):
        return [key for name, item in value.items() for key in _unknown_in(item, f"{at}.{name}")]
    if isinstance(value, list):
        return [key for i, item in enumerate(value) for key in _unknown_in(item, f"{at}[{i}]")]
    return []
