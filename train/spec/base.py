"""The base of everything that a recipe says of training.

In: a mapping of a recipe. Out: a frozen model; unknown keys and odd values are errors.
Shown by: `gristmill plan`. Limit: what needs the data or the model is checked when the stage opens.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    WithJsonSchema,
    model_validator,
)
from pydantic_core import CoreSchema

from gristmill.errors import RecipeError
from gristmill.values import check_values
from mixtures.blend.schedule import Position, amount


class Spec(BaseModel):
    """Settings that a user writes."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given


class Short(Spec):
    """Settings that may be written as text alone: the value of the field SHORT."""

    SHORT: ClassVar[str]

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {cls.SHORT: given} if isinstance(given, str) else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [handler.resolve_ref_schema(handler(core)), {"type": "string"}]}


def _listed(given: Any) -> Any:
    return (given,) if isinstance(given, str) else given


# One name, or several.
Names = Annotated[
    tuple[str, ...],
    BeforeValidator(_listed),
    WithJsonSchema({"type": ["string", "array"], "items": {"type": "string"}}),
]


def spacing(value: Position, key: str) -> None:
    """Refuse a distance of 0."""
    if amount(value, key) == 0:
        raise RecipeError(f"{key} is {value!r}: a distance is more than 0")
