"""Parse JSON: the last object (or array) of a completion, fenced or bare, by a schema if given.

In: a completion that holds JSON. Out: the value, and a field for each of the keys asked for.
Shown by: `gristmill run pipelines/recipes/synth/magpie.yaml`.
Limit: JSON as RFC 8259 has it; comments, single quotes and commas at the end are not mended.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, model_validator

from gristmill.values import WIDEST
from synth.items import Item, Row
from synth.ops import register_op
from synth.parse.parser import Parser, Unparsed

CANDIDATES = 16  # values of one text that are held against the schema, from the last back
_TYPES = {
    "string": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
}


@register_op("parse.json")
class ParseJson(Parser):
    """The last JSON value that fits: objects before arrays, or what the schema admits."""

    SCALAR: ClassVar[str] = "into"

    into: str = "parsed"  # the whole value
    keys: tuple[str, ...] = ()  # of an object: each becomes a field; a missing one fails
    json_schema: dict[str, Any] | None = Field(None, alias="schema")

    @model_validator(mode="after")
    def _valid(self) -> ParseJson:
        if self.json_schema is None:
            return self
        from jsonschema.exceptions import SchemaError

        try:
            self._validator.check_schema(self.json_schema)
        except SchemaError as error:
            raise ValueError(f"parse.json.schema is no JSON Schema: {error.message}") from None
        return self

    @cached_property
    def _validator(self) -> Any:
        from jsonschema import Draft202012Validator

        return Draft202012Validator(self.json_schema or {})

    def fields(self) -> dict[str, pa.DataType]:
        known = (self.json_schema or {}).get("properties", {})
        return {key: _arrow(known.get(key)) for key in self.keys}

    def values(self, text: str, item: Item, row: Row) -> dict[str, Any]:
        value = self._choose(list(json_values(text)))
        found = {self.into: value}
        for key in self.keys:
            if not isinstance(value, dict) or key not in value:
                raise Unparsed(f"the JSON has no key {key!r}")
            found[key] = value[key]
        return found

    def _choose(self, values: list[Any]) -> Any:
        if not values:
            raise Unparsed("there is no JSON object or array")
        if self.json_schema is None:
            return next((v for v in reversed(values) if isinstance(v, dict)), values[-1])
        problem = ""
        for value in values[: -CANDIDATES - 1 : -1]:
            try:
                error = next(self._validator.iter_errors(value), None)
            except RecursionError:
                raise Unparsed("the JSON is nested too deeply") from None
            if error is None:
                return value
            problem = problem or f"{error.json_path}: {error.message}"
        raise Unparsed(f"the JSON does not fit the schema: {problem}")


def json_values(text: str) -> Iterator[Any]:
    """Objects and arrays of a text that can be stored, from left to right.

    After what is no JSON the search goes on behind the place of the error: time stays linear.
    """
    at = 0
    while mark := _OPENS.search(text, at):
        try:
            value, at = _DECODER.raw_decode(text, mark.start())
            json.dumps(value, ensure_ascii=False).encode()  # an escape can name half a character
        except json.JSONDecodeError as error:
            at = max(error.pos, mark.end())
        except ValueError:
            at = max(at, mark.end())
        except RecursionError:
            raise Unparsed("the JSON is nested too deeply") from None
        else:
            yield value


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -WIDEST <= (value := int(digits)) < WIDEST:
        raise ValueError("no column takes it")
    return value


def _number(digits: str) -> float:
    if not math.isfinite(value := float(digits)):
        raise ValueError("no column takes it")
    return value


def _constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


_OPENS = re.compile(r"[{\[]")
_DECODER = json.JSONDecoder(
    strict=False, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def _arrow(schema: Any) -> pa.DataType:
    """Of a property; what is no plain value is kept as text."""
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if kind == "array":
        return pa.list_(_arrow(schema.get("items")))
    return _TYPES.get(kind, pa.string()) if isinstance(kind, str) else pa.string()
