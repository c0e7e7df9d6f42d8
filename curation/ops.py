"""Ops: functions of one row, composed in a recipe's `ops:` list and run in one streaming pass.

In: a table of rows (and the signals of their segment). Out: new columns, failed rules, ledger
columns.
Shown by: `gristmill run pipelines/recipes/fineweb.yaml`. Limit: an op sees one batch; what needs
other rows is a step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, model_validator

from gristmill.errors import RecipeError
from gristmill.registry import Registry, made
from gristmill.values import check_values

Signals = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class Failure:
    """One rule that some rows of a batch fail."""

    rule: str  # "gopher_quality.min_words"
    mask: np.ndarray  # bool per row: True = the row fails
    value: np.ndarray  # float64 per row: the value measured, nan where there is none
    threshold: float = float("nan")


@dataclass(slots=True)
class OpResult:
    """What an op says of a batch; every array has one entry a row."""

    columns: dict[str, pa.Array] = field(default_factory=dict)  # new or replaced columns
    failures: list[Failure] = field(default_factory=list)
    ledger: dict[str, pa.Array] = field(default_factory=dict)  # kept for dropped rows too


Apply = Callable[[pa.Table, Signals], OpResult]


class Op(BaseModel):
    """An op as a user writes it: validated, hashable, cheap to make. `open()` builds what works."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    EDITS: ClassVar[bool] = False  # apply() may change `text`: signals are computed anew after it
    NAME: ClassVar[str] = ""

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given

    @classmethod
    def from_scalar(cls, value: Any) -> Op:
        """`- rules: gopher_quality` instead of a mapping: the one field that a scalar fills."""
        fields = list(cls.model_fields)
        if not fields:
            raise RecipeError(f"op {cls.NAME!r} takes no value, got {value!r}")
        return cls(**{fields[0]: value})

    def families(self) -> frozenset[str]:
        """Signal families that must be there before this op runs."""
        return frozenset()

    def drops(self) -> bool:
        """Whether some row might fail: False where the op only edits or adds columns."""
        return True

    def files(self) -> list[str]:
        """Files or globs whose content changes the output (models, lists)."""
        return []

    def packages(self) -> list[str]:
        """Distributions whose version changes the output."""
        return []

    def open(self) -> Apply:
        """Build what lives as long as a worker and return the function applied to each batch."""
        raise RecipeError(f"op {self.NAME!r} has no open()")


# Imported when first named, so that a recipe without fastText does not load it.
_HOME = {
    "extract": "curation.extract",
    "language": "curation.language",
    "url": "curation.urls",
    "pii": "curation.pii",
    "rules": "curation.rules.op",
    "clean_lines": "curation.clean_lines",
    "datatrove": "curation.datatrove_op",
}
GROUP = "gristmill.ops"  # entry points of third parties
T = TypeVar("T", bound=type[Op])


_OPS = Registry("ops", _HOME, GROUP)


def register_op(name: str) -> Callable[[T], T]:
    """Class decorator: make an op known under the name that recipes use."""
    return _OPS.register(name)


def op_names() -> list[str]:
    """Every op: ours, those registered, and those that installed packages bring."""
    return _OPS.names()


def op_class(name: str) -> type[Op]:
    """The op of a name; RecipeError with the nearest name otherwise."""
    return _OPS.find(name)


def scalar_field(name: str) -> str:
    """The field that the shorthand `- name: value` fills."""
    return next(iter(op_class(name).model_fields))


def parse_op(entry: Any) -> Op:
    """One entry of `ops:`: `name`, `{name: scalar}` or `{name: {field: value}}`."""
    if isinstance(entry, str):
        return op_class(entry)()
    if not isinstance(entry, dict) or len(entry) != 1:
        raise RecipeError(f"ops has {entry!r}; an op is `name` or `name: options`")
    ((name, options),) = entry.items()
    cls = op_class(str(name))
    return made(cls, str(name), options, cls.from_scalar)
