"""Survivor policies: which of several similar documents is kept; and whom a document belongs to.

In: rows of a dataset. Out: an int64 rank each (smaller is better; ties go to the earlier row), a
source.
Shown by: `survivor: longest` in a recipe. Limit: dates are compared as written (ISO 8601), time
zones aside.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.spill import I64
from gristmill.errors import RecipeError, nearest

POLICIES = ("longest", "oldest", "newest", "first")
SIGNAL = "signal:"
_WORST = np.iinfo(np.int64).max
_HOST = r"^[A-Za-z][A-Za-z0-9+.\-]*://(?:[^/?#@]*@)?(?P<host>[^/?#:]+|\[[^\]]*\])"


def check_name(policy: str) -> None:
    """RecipeError unless the policy exists (its column cannot be known yet)."""
    if policy not in POLICIES and not policy.startswith(SIGNAL):
        known = [*POLICIES, f"{SIGNAL}COLUMN"]
        raise RecipeError(f"survivor {policy!r} is not a policy{nearest(policy, known)}")


def check_policy(policy: str, schema: pa.Schema) -> None:
    """RecipeError unless the policy exists and its column is there."""
    if policy.startswith(SIGNAL):
        column = policy.removeprefix(SIGNAL)
        if column not in schema.names:
            hint = nearest(column, schema.names)
            raise RecipeError(f"survivor {policy!r}: there is no column {column!r}{hint}")
        kind = schema.field(column).type
        if not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            raise RecipeError(f"survivor {policy!r}: column {column!r} is {kind}, not a number")
    check_name(policy)


def policy_columns(policy: str) -> list[str]:
    """Columns that the policy needs."""
    if policy.startswith(SIGNAL):
        return [policy.removeprefix(SIGNAL)]
    return {"longest": ["text"], "oldest": ["date"], "newest": ["date"]}.get(policy, [])


def ranks(policy: str, table: pa.Table) -> I64:
    """int64 [rows]: smaller survives. Rows without the value rank last."""
    if policy == "first":
        return np.zeros(table.num_rows, np.int64)
    if policy == "longest":
        lengths = pc.fill_null(pc.binary_length(table["text"]), 0)
        return -lengths.to_numpy().astype(np.int64)
    if policy in ("oldest", "newest"):
        dates = _sortable_dates(table["date"])
        return np.where(dates < 0, _WORST, dates if policy == "oldest" else -dates)
    values = pc.cast(table[policy.removeprefix(SIGNAL)], pa.float64(), safe=False)
    return _descending(pc.fill_null(values, float("nan")).to_numpy())


def _sortable_dates(column: pa.ChunkedArray) -> I64:
    """2024-05-06T07:08:09Z as the number 20240506070809; -1 where there is no year."""
    digits = pc.utf8_slice_codeunits(pc.replace_substring_regex(column, r"[^0-9]", ""), 0, 14)
    good = pc.greater_equal(pc.binary_length(digits), 4)
    padded = pc.utf8_rpad(pc.if_else(good, digits, None), 14, "0")
    return pc.fill_null(pc.cast(padded, pa.int64()), -1).to_numpy()


def _descending(values: np.ndarray) -> I64:
    """Numbers such that a larger float gets a smaller int64; nan comes last."""
    bits = (values + 0.0).view(np.int64)  # + 0.0 turns -0.0 into 0.0
    ascending = np.where(bits < 0, bits ^ np.int64(_WORST), bits)
    return np.where(np.isnan(values), _WORST, ~ascending)


def sources(by: str, table: pa.Table) -> pa.ChunkedArray:
    """Whose documents these are: the host of `url`, or the column `by`; "" where unknown."""
    if by != "host":
        return pc.fill_null(pc.cast(table[by], pa.string()), "")
    hosts = pc.struct_field(pc.extract_regex(table["url"], _HOST), "host")
    return pc.fill_null(pc.utf8_lower(hosts), "")
