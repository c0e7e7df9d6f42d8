"""The op `clean_lines`: line rules take lines out of a text, page rules then drop pages.

In: text. Out: text with fewer lines; counts of removed lines by rule in the ledger.
Shown by: `- clean_lines: c4`, or FineWeb's use of it, `- clean_lines: c4@fineweb`.
Limit: C4's list of bad words comes by path (`bad_words:`); none is part of the package.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import ConfigDict, Field, field_validator, model_validator

from curation.bad_words import bad_word_counter
from curation.ops import Apply, Failure, Op, OpResult, Signals, register_op
from curation.rules import RuleSet, evaluate, rule_set
from curation.url_lists import list_paths
from gristmill.errors import RecipeError, nearest
from gristmill.text import line_clean, line_refined

# counts that the ledger shows besides those of removed lines, and their columns
_C4 = {
    "sentences": "sentences_left",
    "lorem_ipsum_lines": "lorem_ipsum_lines",
    "curly_lines": "curly_lines",
}
_REFINED = {"words": "words_before", "removed_words": "removed_words"}
_PAPER = {"lorem_ipsum": "lorem_ipsum_lines", "curly_brackets": "curly_lines"}


@dataclass(frozen=True, slots=True)
class _Lines:
    """Line rules (None: RefinedWeb's), the page rules after them, and signals by other names."""

    rules: line_clean.C4Rules | None
    page: str | None
    prefix: str = ""
    renamed: Mapping[str, str] | None = None


_SETS = {
    "c4@paper": _Lines(line_clean.PAPER, "c4@paper", renamed=_PAPER),
    "c4@datatrove-0.10": _Lines(line_clean.DATATROVE, "c4@datatrove-0.10", "c4_datatrove_"),
    "c4@fineweb": _Lines(line_clean.FINEWEB, "c4@datatrove-0.10", "c4_datatrove_"),
    "c4@dolma": _Lines(line_clean.DOLMA, None),  # `- rules: c4@dolma` asks the whole page
    "refinedweb@dclm": _Lines(None, "refinedweb@dclm", "refinedweb_"),
}
_SETS |= {"c4": _SETS["c4@paper"], "refinedweb": _SETS["refinedweb@dclm"]}


@register_op("clean_lines")
class CleanLines(Op):
    """`set` names line and page rules; other keys change C4's line rules or a page threshold."""

    model_config = ConfigDict(extra="allow", frozen=True)
    EDITS: ClassVar[bool] = True

    set: str = "c4"
    terminal: bool | None = None  # take out lines without an end mark; None: the set's way
    min_words: int | None = Field(None, ge=0)  # of a line; None: the set's, 0: not asked
    max_word_length: int | None = Field(None, ge=-1)  # code points; None: the set's, -1: not asked
    bad_words: tuple[str, ...] = ()  # lists by path; a page with one of their words is dropped

    @field_validator("bad_words", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("set")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in _SETS:
            raise RecipeError(f"set: no line rules {value!r}{nearest(value, _SETS)}")
        return value

    @model_validator(mode="after")
    def _check(self) -> CleanLines:
        self.page_rules()  # unknown keys and changes that a set does not know: before anything runs
        self.line_rules()
        return self

    def page_rules(self) -> RuleSet | None:
        """The page rules with this op's thresholds."""
        extra: dict[str, Any] = self.model_extra or {}
        page = _SETS[self.set].page
        known = {rule.name for rule in rule_set(page).rules} if page else set()
        for name in extra:
            if name not in known:
                fields = known | set(CleanLines.model_fields)
                raise RecipeError(f"{self.set} has no {name!r}{nearest(name, fields)}")
        return rule_set(page, extra) if page else None

    def line_rules(self) -> line_clean.C4Rules | None:
        """C4's line rules with this op's changes; None for RefinedWeb's, which have no numbers."""
        rules = _SETS[self.set].rules
        changes: dict[str, Any] = {}
        if self.min_words is not None:
            changes["min_words"] = self.min_words
        if self.max_word_length is not None:
            changes["max_word_length"] = self.max_word_length
        if self.terminal is not None:
            marks = rules.end_marks if rules else ""
            changes["end_marks"] = (
                (marks or line_clean.DATATROVE.end_marks) if self.terminal else ""
            )
        if rules is None and changes:
            asked = ", ".join(changes).replace("end_marks", "terminal")
            raise RecipeError(f"{self.set} has no {asked}; that is for the sets of C4")
        return replace(rules, **changes) if rules else None

    def drops(self) -> bool:
        page = self.page_rules()
        return bool(self.bad_words or (page and page.rules))

    def files(self) -> list[str]:
        return list_paths(self.bad_words)

    def open(self) -> Apply:
        bad_words = bad_word_counter(self.bad_words) if self.bad_words else None
        chosen = _SETS[self.set]
        lines, page = self.line_rules(), self.page_rules()

        def apply(table: pa.Table, signals: Signals) -> OpResult:
            if lines is None:
                texts, counts = line_refined.clean_refined(table["text"])
                removed, shown = line_refined.REMOVED, _REFINED
            else:
                texts, counts = line_clean.clean_lines(table["text"], lines)
                removed, shown = line_clean.REMOVED, _C4
            ledger = {"removed_lines": pa.array(np.sum([counts[n] for n in removed], axis=0))}
            ledger |= {f"removed_{name}": pa.array(counts[name]) for name in removed}
            ledger |= {column: pa.array(counts[name]) for name, column in shown.items()}
            result = OpResult({"text": texts.cast(pa.string())}, [], ledger)
            if page is not None:
                known = {chosen.prefix + name: values for name, values in counts.items()}
                for name, count in (chosen.renamed or {}).items():
                    known[name] = counts[count]
                result.failures = evaluate(page, known)
            if bad_words is not None:
                found = bad_words(texts)
                ledger["bad_words"] = pa.array(found)
                result.failures.append(Failure("c4.bad_words", found > 0, found.astype(float), 0))
            failed = np.logical_or.reduce(
                [np.zeros(len(texts), bool), *(f.mask for f in result.failures)]
            )
            if failed.any():  # a page that is dropped keeps the text that it came with
                kept = pc.if_else(pa.array(failed), table["text"], result.columns["text"])
                result.columns["text"] = kept
            return result

        return apply
