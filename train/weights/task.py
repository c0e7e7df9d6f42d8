"""The task of `use: checkpoint`: tensors one by one from the inputs to the version and its report.

In: an operation and the folders of its models. Out: weights, config, tokenizer; a row a tensor.
Shown by: `use: checkpoint`. Limit: one thread, so that sums do not depend on the machine's cores.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch
from torch import Tensor

from gristmill.task import TaskContext
from train.weights.folder import FLOATS, Folder
from train.weights.layers import place_of
from train.weights.model import Model
from train.weights.op import Layout, Made, WeightOp
from train.weights.vectors import norm
from train.weights.write import DTYPES, write_weights

REPORT = pa.schema(
    [
        ("tensor", pa.string()),
        ("part", pa.string()),  # its name without the layer: to group by
        ("layer", pa.int64()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int64())),
        ("parameters", pa.int64()),
        ("norm", pa.float64()),
        ("distance", pa.float64()),  # from the reference model's tensor of that name and shape
        ("zeros", pa.float64()),  # share of entries that are 0
        ("kept", pa.float64()),
        ("angle", pa.float64()),
    ]
)
_CARRIED = (".json", ".jinja", ".model", ".txt")  # tokenizer, chat template, generation config
_NOT_CARRIED = ("config.json", "adapter_config.json")
_DIGITS = 6  # significant ones of a report: the rest may differ between machines


def make(ctx: TaskContext, op: WeightOp, folders: Sequence[Folder], seed: int) -> Mapping[str, Any]:
    """Write the model and its report."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _make(ctx, op, folders, seed)
    finally:
        torch.set_num_threads(threads)


def _make(
    ctx: TaskContext, op: WeightOp, folders: Sequence[Folder], seed: int
) -> Mapping[str, Any]:
    target = ctx.files("")
    layout = op.layout(folders)
    models = [Model(folder) for folder in folders]
    made = op.open(models, seed)
    reference = models[op.reference()]
    report: dict[str, dict[str, Any]] = {}

    def one(name: str) -> Tensor:
        found = made(name)
        stored = found.tensor.to(DTYPES[layout.tensors[name].dtype])
        report[name] = _row(name, layout, found, stored, reference)
        ctx.advance(layout.tensors[name].bytes)
        return stored

    with torch.no_grad():
        write_weights(target, layout.tensors, one)
        facts = op.facts(models)
    _carry(folders[0].path, layout.config, target)
    rows = [report[name] for name in sorted(report)]
    ctx.writer(".report", REPORT).write(pa.Table.from_pylist(rows, REPORT))
    parameters = sum(entry.parameters for entry in layout.tensors.values())
    return {"facts": {"op": op.NAME, "parameters": parameters, "tensors": len(rows), **facts}}


def _carry(source: Path, config: Mapping[str, Any], target: Path) -> None:
    """The config of the result, and what the first model has beside its weights."""
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    for file in sorted(source.iterdir()):
        index = file.name.endswith(".safetensors.index.json")
        if file.suffix in _CARRIED and file.name not in _NOT_CARRIED and not index:
            shutil.copyfile(file, target / file.name)


def _row(name: str, layout: Layout, made: Made, stored: Tensor, reference: Model) -> dict[str, Any]:
    entry, place = layout.tensors[name], place_of(name)
    row: dict[str, Any] = {
        "tensor": name,
        "part": name if place is None else place.part,
        "layer": None if place is None else place.layer,
        "dtype": entry.dtype,
        "shape": list(entry.shape),
        "parameters": entry.parameters,
        "kept": made.kept,
        "angle": _rounded(made.angle),
    }
    if entry.dtype not in FLOATS:
        return row
    values = stored.double()
    row["norm"] = _rounded(norm(values))
    row["zeros"] = _rounded(1 - int(values.count_nonzero()) / max(1, values.numel()))
    if name in reference and reference.folder.tensors[name].shape == entry.shape:
        row["distance"] = _rounded(norm(values - reference[name]))
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.{_DIGITS}g}")
