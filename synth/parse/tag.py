"""Parse tag: what stands between `<answer>` and `</answer>`.

In: a completion with tagged parts. Out: a field for each tag.
Shown by: `gristmill run pipelines/recipes/synth/rewire.yaml`.
Limit: of a tag that comes several times the last counts; tags of one name do not nest.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field, model_validator

from synth.items import Item, Row
from synth.ops import register_op
from synth.parse.parser import Parser, Unparsed

_NAME = re.compile(r"[A-Za-z_][\w.-]*\Z")


@register_op("parse.tag")
class ParseTag(Parser):
    """The last `<tag>…</tag>` of each name; opened again and not closed is `no_closing_tag`."""

    SCALAR: ClassVar[str] = "tag"

    tag: str | tuple[str, ...] = "answer"
    into: str | None = None  # of a single tag; default: the tag's name
    optional: tuple[str, ...] = Field(())  # tags that may be missing or empty: the field is ""

    @model_validator(mode="after")
    def _names(self) -> ParseTag:
        for key, names in (("tag", self._tags), ("optional", self.optional)):
            for name in names:
                if not _NAME.match(name):
                    raise ValueError(f"{key} has {name!r}; write the name alone, e.g. `answer`")
        if self.into is not None and len(self._tags) != 1:
            raise ValueError("parse.tag.into names the field of a single tag; there are several")
        if unknown := set(self.optional) - set(self._tags):
            raise ValueError(f"parse.tag.optional has {min(unknown)!r}, which `tag` does not name")
        return self

    @cached_property
    def _tags(self) -> tuple[str, ...]:
        return (self.tag,) if isinstance(self.tag, str) else self.tag

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into or name: pa.string() for name in self._tags}

    def values(self, text: str, item: Item, row: Row) -> dict[str, Any]:
        found = {}
        for name in self._tags:
            inside = last_tag(text, name)
            if not inside and name not in self.optional:
                raise Unparsed(
                    f"there is no <{name}>" if inside is None else f"<{name}> is empty",
                    "unparsable" if inside is None else "empty",
                )
            found[self.into or name] = inside or ""
        return found


def last_tag(text: str, name: str) -> str | None:
    """The stripped text of the last tag of a name; None where there is none."""
    start, inside = None, None
    for mark in re.finditer(rf"<(/?){re.escape(name)}(?:\s[^<>]*)?>", text, re.IGNORECASE):
        if not mark[1]:
            start = mark.end()
        elif start is not None:
            inside, start = text[start : mark.start()].strip(), None
    if start is not None:
        raise Unparsed(f"<{name}> was opened and not closed", "no_closing_tag")
    return inside
