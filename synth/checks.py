"""Checks of a flow before anything runs: fields, engines, the emit at its end, the sandbox.

In: ops, engines and the source's columns. Out: nothing, or RecipeError with the nearest name.
Shown by: `gristmill plan RECIPE`. Limit: after an op whose fields depend on the data (`explode`, an
op of a third party), names are not checked any more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from jinja2 import Environment
from jinja2.defaults import DEFAULT_NAMESPACE
from jinja2.nodes import Filter, Name, Test

from gristmill.errors import RecipeError, nearest
from synth.emit import SHAPES, TEXTS, Emit
from synth.ops import SynthOp, every
from synth.prompt import Prompt, load_prompt
from synth.select.keep import Pass
from synth.select.top import Top
from synth.source.set import Set
from synth.templates import Template, template

ADDED = {"response", "engine", "logprob", "thoughts", "parents"}  # by samples and parsers
_GUARDS = ({"defined", "undefined"}, {"default", "d"})


def check_flow(
    ops: Sequence[SynthOp], engines: Mapping[str, Any], source: pa.Schema | None
) -> None:
    """Raise for what ops, engines and the source's columns (None: not known yet) show."""
    check_shape(ops)
    for op in every(ops):
        op.check()
        for name in op.engines():
            if name not in engines:
                raise RecipeError(
                    f"op {op.NAME!r} asks engine {name!r}, which `engines` does not have"
                    f"{nearest(name, engines)}"
                )
        if op.sandboxed():
            from synth.sandbox import available

            if reason := available():
                raise RecipeError(f"op {op.NAME!r}: {reason}")
    if source is not None:
        check_names(ops, set(source.names))


def check_shape(ops: Sequence[SynthOp]) -> None:
    """One emit, at the end; `select: top` just before it or nowhere."""
    if not ops or not isinstance(ops[-1], Emit):
        raise RecipeError("do does not end with `emit`; say there what rows to write")
    for op in every(ops[:-1]):
        if isinstance(op, Emit):
            raise RecipeError("do has an `emit` before its end; a flow has one, as its last op")
        if isinstance(op, Top) and op is not ops[-2]:
            raise RecipeError(
                "`select: top` compares the items of all rows: it stands last, before `emit`"
            )


def known_fields(source: pa.Schema, ops: Sequence[SynthOp]) -> dict[str, pa.DataType]:
    """Names and types of the fields that items have at the end of a flow."""
    known = {field.name: field.type for field in source}
    for op in every(ops):
        known |= op.fields()
    return known


def check_names(ops: Sequence[SynthOp], known: set[str]) -> bool:
    """Raise for a template or column that names what is not there; False: names are open now."""
    known |= ADDED
    for op in ops:
        for name in sorted(_wanted(op)):
            if name not in known:
                raise RecipeError(
                    f"op {op.NAME!r} reads field {name!r}, which neither the source nor an "
                    f"earlier op has{nearest(name, known)}"
                )
        if op.inner():
            known |= set(op.fields())  # a loop's counter
            for inner in every(op.inner()):  # from its second round on a body sees its own fields
                known |= _given(inner)
            until = getattr(op, "until", None)
            if until is not None and until not in known:
                raise RecipeError(
                    f"op {op.NAME!r}: until names field {until!r}, which neither its body nor an "
                    f"earlier op has{nearest(until, known)}"
                )
            if not check_names(op.inner(), known):
                return False
        known |= _given(op)
        if op.NAME == "explode" or not type(op).__module__.startswith("synth."):
            return False
    return True


def _given(op: SynthOp) -> set[str]:
    """Fields that an op may add: those it declares, and any name that its settings hold."""
    settings = op.model_dump(mode="json", exclude={"do"})
    found = {name for value in settings.values() for name in _strings(value)}
    return set(op.fields()) | {name for name in found if name.isidentifier()}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        yield from value
        for inner in value.values():
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def _wanted(op: SynthOp) -> set[str]:
    """Fields without which a template cannot be rendered, or a column would be empty."""
    if isinstance(op, Prompt):
        parts = [template(text) for text in (op.user, op.system, op.text) if text is not None]
        if op.file:
            parts += [part for _, part in load_prompt(op.file).sections]
        return set[str]().union(*map(needed, parts)) - set(op.with_)
    if isinstance(op, Emit):
        texts = [getattr(op, n) or default for n, default in TEXTS.get(op.kind, {}).items()]
        texts += [text for turn in op.messages or () for text in turn.values()]
        columns = set(op.columns) - set(SHAPES[op.kind])
        return columns.union(*(needed(template(text)) for text in texts))
    if isinstance(op, Set):
        return set[str]().union(*(needed(template(text)) for text in op.texts.values()))
    if isinstance(op, Pass):
        return set(op.conditions)
    by = getattr(op, "by", None) if op.NAME.startswith("select.") else None
    return {by} if isinstance(by, str) and by else set()


def needed(part: Template) -> set[str]:
    """Names that a template reads without asking first whether they are there."""
    tree = Environment().parse(part.text)
    guarded = {
        node.node.name
        for kind, names in zip((Test, Filter), _GUARDS, strict=True)
        for node in tree.find_all(kind)
        if node.name in names and isinstance(node.node, Name)
    }
    return set(part.names) - guarded - set(DEFAULT_NAMESPACE)
