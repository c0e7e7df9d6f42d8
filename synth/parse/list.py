"""Parse list: the entries of a numbered or bulleted list.

In: a completion with a list. Out: a list of texts. Shown by:
`gristmill run pipelines/recipes/synth/knowledge_list.yaml`.
Limit: lists within entries stay text of their entry.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import pyarrow as pa
from pydantic import Field

from synth.items import Item, Row
from synth.ops import register_op
from synth.parse.parser import Parser, Unparsed

_ENTRY = re.compile(r"([ \t]*)(?:[-*•–·+]|\(?\d{1,4}[.):]|[a-zA-Z][.)])[ \t]+(\S.*)")


@register_op("parse.list")
class ParseList(Parser):
    """Entries of the first level; lines that go on with an entry are joined to it."""

    SCALAR: ClassVar[str] = "into"

    into: str = "entries"
    min: int = Field(1, ge=1)  # fewer entries fail as `unparsable`
    max: int | None = Field(None, ge=1)  # the first ones are kept

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.list_(pa.string())}

    def values(self, text: str, item: Item, row: Row) -> dict[str, Any]:
        entries = list_entries(text)
        if len(entries) < self.min:
            raise Unparsed(f"the list has {len(entries)} entries, {self.min} wanted")
        return {self.into: entries[: self.max]}


def list_entries(text: str) -> list[str]:
    """Entries in order; what stands before the list, and after a blank line behind it, is left."""
    entries: list[list[str]] = []
    level = 0
    going_on = False
    for line in text.splitlines():
        mark = _ENTRY.match(line)
        if mark and not entries:
            level = len(mark[1])
        if mark and len(mark[1]) <= level:
            entries.append([mark[2].strip()])
            going_on = True
        elif not line.strip():
            going_on = False
        elif entries and (going_on or line[:1].isspace()):
            entries[-1].append(line.strip())
            going_on = True
    return [_bare("\n".join(lines)) for lines in entries]


def _bare(entry: str) -> str:
    """Without bold marks around the whole of it."""
    inside = entry[2:-2]
    if len(entry) > 4 and entry.startswith("**") and entry.endswith("**") and "**" not in inside:
        return inside
    return entry
