"""Parse code: a fenced block of a completion.

In: a completion. Out: the code of its last block, or the first, or all of them joined.
Shown by: `gristmill run pipelines/recipes/synth/code_feedback.yaml`.
Limit: code outside of a fence is not found.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import pyarrow as pa

from synth.items import Item, Row
from synth.ops import register_op
from synth.parse.parser import Parser, Unparsed

ALIASES = {"py": "python", "python3": "python", "js": "javascript", "rs": "rust", "c++": "cpp"}


@register_op("parse.code")
class ParseCode(Parser):
    """Blocks of the language, or else those that name none."""

    SCALAR: ClassVar[str] = "language"

    language: str | None = None  # None: any
    which: Literal["first", "last", "all"] = "last"
    into: str = "code"

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.string()}

    def values(self, text: str, item: Item, row: Row) -> dict[str, Any]:
        blocks = fenced_blocks(text)
        if self.language is not None:
            wanted = _canonical(self.language)
            blocks = [b for b in blocks if b[0] == wanted] or [b for b in blocks if not b[0]]
        codes = [code for _, code in blocks if code.strip()]
        if not codes:
            raise Unparsed(f"there is no block of {self.language or 'code'}")
        if self.which == "all":
            return {self.into: "\n\n".join(codes)}
        return {self.into: codes[0] if self.which == "first" else codes[-1]}


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """(language or "", code) of every block; an unclosed fence is `no_closing_tag`."""
    found = []
    opened: tuple[str, str, int] | None = None
    lines: list[str] = []
    for line in text.split("\n"):
        mark = _fence(line)
        if opened is None:
            opened, lines = mark, []
        elif mark and mark[0].startswith(opened[0]) and not mark[1]:
            found.append((opened[1], "\n".join(lines)))
            opened = None
        else:
            indent = opened[2]
            lines.append(line if line[:indent].strip() else line[indent:])
    if opened is not None:
        raise Unparsed("a block of code was opened and not closed", "no_closing_tag")
    return found


def _fence(line: str) -> tuple[str, str, int] | None:
    """(the marks, language or "", indent) of a line that opens or closes a block."""
    bare = line.strip()
    if not bare.startswith(("```", "~~~")):
        return None
    rest = bare.lstrip(bare[0])
    if "`" in rest:  # code within a line
        return None
    words = rest.split(None, 1)
    language = _canonical(words[0]) if words else ""
    return bare[: len(bare) - len(rest)], language, len(line) - len(line.lstrip())


def _canonical(language: str) -> str:
    lowered = language.lower().strip("{}.")
    return ALIASES.get(lowered, lowered)
