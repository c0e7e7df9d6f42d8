"""Ops: the primitives of a flow, as a user writes them under `do:`.

In: the items of one row. Out: its items after the op; calls to models and sandboxes are yielded.
Shown by: `gristmill run pipelines/recipes/synth/diverse_qa.yaml`.
Limit: an op sees one row's items; what compares rows is `select: {top: …}` or a step of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, model_validator

from gristmill.errors import RecipeError
from gristmill.registry import Registry, made, named
from gristmill.values import check_values
from synth.calls import Answer, Call, Failure
from synth.items import Item, Row

Running = Generator[list[Call], list[Answer | Failure], list[Item]]


class SynthOp(BaseModel):
    """One primitive. Fields are what a user writes; `run` is a generator over one row's items.

    A subclass without calls returns its items and never yields; see `plain`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
    NAME: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given

    def __getstate__(self) -> dict[Any, Any]:
        """Its fields alone: what it compiled (a schema's validator) does not travel to workers."""
        state = super().__getstate__()
        own = {k: v for k, v in state["__dict__"].items() if k in type(self).model_fields}
        return {**state, "__dict__": own}

    @classmethod
    def from_scalar(cls, value: Any) -> SynthOp:
        """`- parse: text` instead of a mapping: the first field."""
        if not cls.model_fields:
            raise RecipeError(f"op {cls.NAME!r} takes no value, got {value!r}")
        return cls(**{scalar_field(cls.NAME): value})

    def run(self, items: list[Item], row: Row) -> Running:
        """Yield lists of calls, be sent their answers in order, return the items that go on."""
        return self.plain(items, row)
        yield

    def plain(self, items: list[Item], row: Row) -> list[Item]:
        """What an op without calls does."""
        raise RecipeError(f"op {self.NAME!r} has neither run() nor plain()")

    def fields(self) -> dict[str, pa.DataType]:
        """Fields that it adds to items, and their types: what `emit` may keep as columns."""
        return {}

    def engines(self) -> list[str]:
        """Names of the engines that it calls."""
        return []

    def inner(self) -> Sequence[SynthOp]:
        """Ops inside it (a loop's body)."""
        return ()

    def files(self) -> list[str]:
        """Files whose content changes the output: prompts, benchmarks, models."""
        return []

    def packages(self) -> list[str]:
        """Distributions whose version changes the output."""
        return []

    def check(self) -> None:
        """Raise for what the fields alone show to be wrong: a prompt that is not there."""

    def sandboxed(self) -> bool:
        """Whether it always runs model-written programs: refused where there is no sandbox."""
        return False


def any_field(schema: dict[str, Any]) -> None:
    """`json_schema_extra` of ops that take names of a user's own under the op itself."""
    schema |= {"required": [], "additionalProperties": True}


FAMILIES = {"parse", "score", "select"}  # `- score: {maths: {…}}` names the op `score.maths`
# Imported when first named: a recipe without a reward model loads none.
_HOME = {
    "prompt": "synth.prompt",
    "sample": "synth.sample",
    "score_tokens": "synth.score_tokens",
    "loop": "synth.loop",
    "emit": "synth.emit",
    "draw": "synth.source.draw",
    "chunk": "synth.source.chunk",
    "explode": "synth.source.explode",
    "set": "synth.source.set",
    "parse.text": "synth.parse.text",
    "parse.tag": "synth.parse.tag",
    "parse.json": "synth.parse.json",
    "parse.regex": "synth.parse.regex",
    "parse.list": "synth.parse.list",
    "parse.pairs": "synth.parse.pairs",
    "parse.code": "synth.parse.code",
    "score.maths": "synth.score.maths",
    "score.tests": "synth.score.tests",
    "score.schema": "synth.score.schema",
    "score.regex": "synth.score.regex",
    "score.length": "synth.score.length",
    "score.language": "synth.score.language",
    "score.fasttext": "synth.score.fasttext",
    "score.judge": "synth.score.judge",
    "score.pairwise": "synth.score.pairwise",
    "score.reward": "synth.score.reward",
    "score.logprob": "synth.score.logprob",
    "score.near": "synth.score.near",
    "score.contaminated": "synth.score.contaminated",
    "score.verifier": "synth.score.verifier",
    "select.pass": "synth.select.keep",
    "select.best": "synth.select.best",
    "select.pair": "synth.select.pair",
    "select.resample": "synth.select.resample",
    "select.top": "synth.select.top",
}
GROUP = "gristmill.synth_ops"  # entry points of third parties
T = TypeVar("T", bound=type[SynthOp])


_OPS = Registry("do", _HOME, GROUP)


def register_op(name: str) -> Callable[[T], T]:
    """Class decorator: make an op known under the name that recipes use."""
    return _OPS.register(name)


def op_names() -> list[str]:
    """Every op: ours, those registered, and those that installed packages bring."""
    return _OPS.names()


def op_class(name: str) -> type[SynthOp]:
    """The op of a name; RecipeError with the nearest name otherwise."""
    return _OPS.find(name)


def scalar_field(name: str) -> str:
    """The field that the shorthand `- name: value` fills."""
    field, info = next(iter(op_class(name).model_fields.items()))
    return info.alias or field


def parse_op(entry: Any) -> SynthOp:
    """One entry of `do:`: `name`, `{name: scalar}` or `{name: {field: value}}`.

    Of a family the inner name comes first: `parse: code`, `score: {length: {min: 3}}`.
    """
    if isinstance(entry, SynthOp):
        return entry
    name, options = named(entry, f"do has {entry!r:.80}; an op is `name` or `name: options`")
    if name in FAMILIES:
        whole = {name: options}
        rule = f"do has {whole!r:.80}; write `{name}: {{KIND: options}}`"
        kind, options = named(options, rule)
        name = f"{name}.{kind}"
    cls = op_class(name)
    return made(cls, name, options, cls.from_scalar)


def parse_ops(entries: Any, key: str = "do") -> tuple[SynthOp, ...]:
    """A list of them."""
    if not isinstance(entries, list | tuple):
        raise RecipeError(f"{key} is {entries!r:.80}; it is a list of ops, e.g. `- prompt: faq`")
    return tuple(parse_op(entry) for entry in entries)


def dump_ops(ops: Sequence[SynthOp]) -> list[dict[str, Any]]:
    """Their canonical form, for the fingerprint."""
    return [{op.NAME: op.model_dump(mode="json", by_alias=True)} for op in ops]


def every(ops: Sequence[SynthOp]) -> Iterator[SynthOp]:
    """All ops, those inside loops too."""
    for op in ops:
        yield op
        yield from every(op.inner())
