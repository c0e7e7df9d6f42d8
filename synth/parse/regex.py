"""Parse regex: named groups of a pattern become fields.

In: any text of an item. Out: a field for each named group.
Shown by: `gristmill run pipelines/recipes/synth/latent_thoughts.yaml`.
Limit: Python's `re` goes back over a text; a pattern such as `(a+)+$` can take for ever.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import model_validator

from synth.items import Item, Row
from synth.ops import register_op
from synth.parse.parser import Parser, Unparsed


@register_op("parse.regex")
class ParseRegex(Parser):
    """The first match (or the last); a group that took no part is ""."""

    SCALAR: ClassVar[str] = "pattern"

    pattern: str
    last: bool = False
    refusals: bool = False

    @model_validator(mode="after")
    def _named(self) -> ParseRegex:
        try:
            groups = self._compiled.groupindex
        except re.error as error:
            raise ValueError(f"parse.regex.pattern is {self.pattern!r}: {error}") from None
        if not groups:
            raise ValueError(
                f"parse.regex.pattern is {self.pattern!r}; name what it finds: `(?P<answer>…)`"
            )
        return self

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def fields(self) -> dict[str, pa.DataType]:
        return dict.fromkeys(self._compiled.groupindex, pa.string())

    def values(self, text: str, item: Item, row: Row) -> dict[str, Any]:
        found = None
        for match in self._compiled.finditer(text):
            found = match
            if not self.last:
                break
        if found is None:
            raise Unparsed(f"{self.pattern!r:.120} does not match")
        return found.groupdict(default="")
