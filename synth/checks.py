"""Checks of a flow before anything runs: fields, engines, the emit at its end, the sandbox.

In: ops, engines and the source's columns. Out: nothing, or RecipeError with the nearest name.
Shown by: `gristmill plan RECIPE`. Limit: after an op whose fields depend on the data (`explode`),
names are not checked any more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from gristmill.errors import RecipeError, nearest
from synth.emit import Emit
from synth.ops import SynthOp, every


def check_flow(
    ops: Sequence[SynthOp], engines: Mapping[str, Any], source: pa.Schema | None
) -> None:
    """Raise for what ops, engines and the source's columns show to be wrong."""
    if not ops or not isinstance(ops[-1], Emit):
        raise RecipeError("do does not end with `emit`; say there what rows to write")
    for op in every(ops[:-1]):
        if isinstance(op, Emit):
            raise RecipeError("do has an `emit` before its end; a flow has one, as its last op")
    for op in every(ops):
        op.check()
        for name in op.engines():
            if name not in engines:
                raise RecipeError(
                    f"op {op.NAME!r} asks engine {name!r}, which `engines` does not have"
                    f"{nearest(name, engines)}"
                )


def known_fields(source: pa.Schema, ops: Sequence[SynthOp]) -> dict[str, pa.DataType]:
    """Names and types of the fields that items have at the end of a flow."""
    known = {field.name: field.type for field in source}
    for op in every(ops):
        known |= op.fields()
    return known
