"""The kinds of rows: one declared Arrow schema each, checked at commit.

In: a schema about to be committed. Out: nothing, or an error that names the column.
Shown by: `gristmill show web/clean`. Limit: `document` and `ledger` admit further columns, so that
ops can add theirs; the declared ones keep their types.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from gristmill.errors import StoreError, nearest

RULE = pa.struct([("rule", pa.string()), ("value", pa.float64()), ("threshold", pa.float64())])
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row: required columns, whether more may follow, and which are counted by value."""

    name: str
    required: pa.Schema
    open: bool = True
    counted: tuple[str, ...] = ()  # low-cardinality columns whose counts the manifest carries
    mapped: tuple[str, ...] = ()  # required columns that lie plain in the file: gristmill.mapped
    files: bool = False  # no rows: a version is a folder of files (gristmill.file_sets)


def _kind(name: str, fields: list[tuple[str, pa.DataType]], **options: object) -> Kind:
    return Kind(name, pa.schema(fields), **options)  # type: ignore[arg-type]


_IDS = pa.list_(pa.int32())
_S, _I32, _I64 = pa.string(), pa.int32(), pa.int64()
LOCATOR: list[tuple[str, pa.DataType]] = [
    ("file", _S),  # name under the glob's root
    ("offset", pa.int64()),
    ("length", pa.int64()),
    ("payload_sha1", _S),
]
PACKED = {
    "segment": _I32,
    "source": _I32,
    "epoch": _I32,
    "first_piece": _I64,
    "pieces": _I32,
    "tokens": _I32,
}
PIECES = {"document": _I64, "offset": _I32, "length": _I32}
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in [
        _kind(
            "document",
            [("id", _S), ("text", _S), ("url", _S), ("date", _S), ("source", _S)],
            counted=("language", "source"),
        ),
        _kind(
            "ledger",
            [
                ("id", _S),
                ("url", _S),
                *LOCATOR,
                ("state", _S),
                ("step_op", _S),
                ("reason", _S),
                ("rules", pa.list_(RULE)),
            ],
            counted=("state", "reason", "step_op", "language"),
        ),
        _kind("chat", [("id", _S), ("messages", pa.list_(MESSAGE))]),
        # A column `messages` of these two is the prompt as turns; `prompt` is then the last one.
        _kind("preference", [("id", _S), ("prompt", _S), ("chosen", _S), ("rejected", _S)]),
        _kind("prompt", [("id", _S), ("prompt", _S), ("answer", _S), ("verifier", _S)]),
        # A teacher's most probable tokens at each place, best first, and their log-probabilities.
        _kind(
            "teacher",
            [
                ("id", _S),
                ("input_ids", _IDS),
                ("top_ids", pa.list_(_IDS)),
                ("top_logprobs", pa.list_(pa.list_(pa.float32()))),
            ],
        ),
        # A document a row; `start` is the running sum of `count`. `loss_mask`, a byte a token, and
        # columns of the documents may follow.
        _kind(
            "tokens",
            [("id", _S), ("start", _I64), ("count", _I32), ("tokens", pa.binary())],
            counted=("language", "source"),
            mapped=("start", "count", "tokens", "loss_mask"),
        ),
        _kind("tokenizer", [("file", _S), ("content", pa.binary())]),
        # A row of a mixture: which pieces fill it (see `pieces`), counted from its source's first.
        _kind("packed", [(name, kind) for name, kind in PACKED.items()], mapped=tuple(PACKED)),
        _kind("pieces", [(name, kind) for name, kind in PIECES.items()], mapped=tuple(PIECES)),
        _kind("model", [], files=True),  # as `from_pretrained` reads it
        _kind("pictures", [], files=True),  # PNG files
        _kind("rows", []),  # tables of a step's own: signatures, reports
    ]
}


def kind(name: str) -> Kind:
    """The kind named, or an error with the nearest one."""
    if name not in KINDS:
        raise StoreError(f"unknown kind of row {name!r}{nearest(name, KINDS)}")
    return KINDS[name]


def check(kind_name: str, schema: pa.Schema, dataset: str) -> None:
    """Raise StoreError unless `schema` has what the kind declares; `dataset` is named in errors."""
    declared = kind(kind_name)
    for field in declared.required:
        index = schema.get_field_index(field.name)
        if index < 0:
            raise StoreError(
                f"{dataset}: a {kind_name} needs column {field.name!r} ({field.type}); "
                f"the rows have {', '.join(schema.names)}"
            )
        if schema.field(index).type != field.type:
            raise StoreError(
                f"{dataset}: column {field.name!r} is {schema.field(index).type}, "
                f"a {kind_name} declares {field.type}; cast it before writing"
            )
    if not declared.open and len(schema) != len(declared.required):
        extra = sorted(set(schema.names) - set(declared.required.names))
        raise StoreError(f"{dataset}: a {kind_name} has no column {extra[0]!r}; drop it")
