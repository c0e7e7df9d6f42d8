"""Op `datatrove`: any row-local datatrove filter, formatter or extractor, with its own arguments.

In: the column text (for extractors also payload). Out: text where the block changes it; a failure
for each reason. Shown by: `- datatrove: {block: C4QualityFilter, args: {split_paragraph: false}}`.
Limit: one Python call a row, and what a block writes into a document's metadata is not kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.charset import decode
from curation.ops import Apply, Failure, Op, OpResult, Signals, register_op
from gristmill.errors import RecipeError, nearest

_HOMES = {
    "filter": "datatrove.pipeline.filters",
    "formatter": "datatrove.pipeline.formatters",
    "extractor": "datatrove.pipeline.extractors",
}
# Blocks whose answer depends on the rows before.
_STATEFUL = {
    "SamplerFilter": "its choice depends on the order of rows; use `gristmill sample`",
}
_CONTEXT = ("url", "date", "language", "language_score", "title", "file")

# (row of the table as a dictionary, its text) -> (new text or None, kept, reason)
Judge = Callable[[dict[str, Any], str], tuple[str | None, bool, str | None]]


@register_op("datatrove")
class Datatrove(Op):
    """Run a datatrove block over each row."""

    EDITS: ClassVar[bool] = True  # any block may change the text

    block: str  # a class of datatrove.pipeline, by short name or by its full path
    args: dict[str, Any] = Field(default_factory=dict)

    def packages(self) -> list[str]:
        return ["datatrove"]

    def open(self) -> Apply:
        cls = _block_class(self.block)
        block = _made(cls, self.args)
        kind = _kind(cls) or ""
        judge = {"filter": _filter, "formatter": _formatter, "extractor": _extractor}[kind](block)
        name = f"datatrove.{cls.__name__}"

        def apply(table: pa.Table, signals: Signals) -> OpResult:
            return _judge_rows(table, judge, name, kind == "extractor")

        return apply


def _judge_rows(table: pa.Table, judge: Judge, name: str, html: bool) -> OpResult:
    texts = table["text"].to_pylist()
    new = _html(table, texts) if html else list(texts)
    context = _contexts(table)
    reasons: list[str | None] = [None] * len(new)
    errors: list[Exception] = []
    for row, text in enumerate(new):
        try:
            found, kept, reason = judge(context[row], text or "")
        except (ImportError, OSError):
            raise
        except Exception as error:
            errors.append(error)
            found, kept, reason = texts[row], False, "error"
        new[row] = found if found or texts[row] else texts[row]  # null stays null
        if not kept:
            reasons[row] = f"{name}.{reason}" if reason else name
    if len(errors) == len(new) and len(new) >= 8:  # not the rows' fault
        raise RecipeError(f"{name} fails on every row: {errors[0]!r}; are its args right?")
    failures = []
    for reason in dict.fromkeys(reason for reason in reasons if reason):
        mask = np.array([found == reason for found in reasons], bool)
        failures.append(Failure(reason, mask, np.full(len(mask), np.nan)))
    changed = {} if new == texts else {"text": pa.array(new, pa.string())}
    return OpResult(columns=changed, failures=failures)


def _html(table: pa.Table, texts: list[str | None]) -> list[str | None]:
    """HTML of each row that has a body; else its text."""
    if "payload" not in table.schema.names:
        return list(texts)
    charsets = table["charset"].to_pylist()
    bodies = zip(table["payload"].to_pylist(), charsets, texts, strict=True)
    return [text if body is None else decode(body, charset).text for body, charset, text in bodies]


def _contexts(table: pa.Table) -> list[dict[str, Any]]:
    """What a block may look at in a document's metadata: known columns, and the format's own."""
    have = [name for name in _CONTEXT if name in table.schema.names]
    rows: list[dict[str, Any]] = table.select(have).to_pylist()
    if "metadata" in table.schema.names:
        for row, own in zip(rows, table["metadata"].to_pylist(), strict=True):
            if own:
                row.update((key, value) for key, value in json.loads(own).items() if key not in row)
    return rows


def _document(context: dict[str, Any], text: str) -> Any:
    from datatrove.data import Document

    known = {key: value for key, value in context.items() if value is not None}
    return Document(text=text, id=str(context.get("url") or ""), metadata=known)


def _filter(block: Any) -> Judge:
    def judge(context: dict[str, Any], text: str) -> tuple[str | None, bool, str | None]:
        document = _document(context, text)
        (answer,) = block.filter_batch([document])
        kept, reason = answer if isinstance(answer, tuple) else (answer, None)
        return document.text, bool(kept), reason

    return judge


def _formatter(block: Any) -> Judge:
    turning = [part for part in vars(block).values() if hasattr(part, "_replace_i")]

    def judge(context: dict[str, Any], text: str) -> tuple[str | None, bool, str | None]:
        for part in turning:  # PIIFormatter takes its replacements in turns, from row to row
            part._replace_i = 0
        return block.format(text), True, None

    return judge


def _extractor(block: Any) -> Judge:
    def judge(context: dict[str, Any], text: str) -> tuple[str | None, bool, str | None]:
        # Not through the block's sandbox: its clock makes the output depend on the machine's load.
        found = block.extract(text) if text else None
        return found, bool(found), None if found else "empty"

    return judge


def _block_class(name: str) -> type:
    """The class of a block; RecipeError for what is unknown or not row-local."""
    module, _, short = name.rpartition(".")
    if module:
        try:
            cls = getattr(import_module(module), short)
        except (ImportError, AttributeError) as error:
            raise RecipeError(f"datatrove: no block {name!r}: {error}") from error
    else:
        known = {n: v for home in _HOMES.values() for n, v in vars(import_module(home)).items()}
        known = {n: v for n, v in known.items() if isinstance(v, type)}
        if short not in known:
            raise RecipeError(f"datatrove: no block {name!r}{nearest(name, known)}")
        cls = known[short]
    if short in _STATEFUL:
        raise RecipeError(f"datatrove: {short} is no op: {_STATEFUL[short]}")
    if not isinstance(cls, type) or _kind(cls) is None:
        raise RecipeError(
            f"datatrove: {name!r} is no filter, formatter or extractor; a block that compares rows "
            "(dedup, decontamination, statistics) or reads and writes is no op: use a step"
        )
    return cls


def _kind(cls: type) -> str | None:
    from datatrove.pipeline.extractors.base import BaseExtractor
    from datatrove.pipeline.filters.base_filter import BaseFilter
    from datatrove.pipeline.formatters.base import BaseFormatter

    bases = {"filter": BaseFilter, "formatter": BaseFormatter, "extractor": BaseExtractor}
    return next((kind for kind, base in bases.items() if issubclass(cls, base)), None)


def _made(cls: type, args: dict[str, Any]) -> Any:
    if "exclusion_writer" in args:
        raise RecipeError(
            "datatrove: exclusion_writer is not needed: every drop is in the ledger, "
            "and `rejected: true` keeps the dropped text"
        )
    if cls.__name__ == "Trafilatura":
        args = {"deduplicate": False, **args}  # its memory of earlier pages depends on their order
    try:
        return cls(**args)
    except (TypeError, ValueError, ImportError) as error:
        raise RecipeError(f"datatrove: {cls.__name__}({args!r}): {error}") from error
