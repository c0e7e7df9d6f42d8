"""What parsers share: a completion is cleaned, then read into named values or a typed failure.

In: an item with a completion. Out: the item with further fields; the raw text stays in the log.
Shown by: `python -m pytest tests/synth/parse`.
Limit: one text a parser; to read two fields, write two parsers.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gristmill.errors import RecipeError
from synth.items import Item, Row
from synth.ops import SynthOp
from synth.parse.cleaning import cleaned


class Unparsed(Exception):
    """A completion is not in the form asked for; `reason` is of synth.calls.REASONS."""

    def __init__(self, detail: str, reason: str = "unparsable") -> None:
        super().__init__(detail)
        self.reason = reason


class Parser(SynthOp):
    """A parser says in `values` what it finds in a clean text, or raises Unparsed."""

    SCALAR: ClassVar[str] = "of"  # the field that `parse: {tag: answer}` sets

    of: str = "response"
    refusals: bool = True  # short texts that decline fail as `refused`

    @classmethod
    def from_scalar(cls, value: Any) -> SynthOp:
        return cls.model_validate({cls.SCALAR: value})

    def values(self, text: str, item: Item, row: Row) -> dict[str, Any]:
        """Fields found in a text."""
        raise RecipeError(f"op {self.NAME!r} has no values()")

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        kept = []
        for item in items:
            text = cleaned(item, self.of, row, refusals=self.refusals)
            if text is None:
                continue
            try:
                item.fields |= self.values(text, item, row)
            except Unparsed as error:
                row.fail(self.NAME, error.reason, str(error))
                continue
            kept.append(item)
        return kept
