"""Weights to disk, a tensor at a time: the header first, since shapes are known, then the data.

In: a layout (name -> Entry) and a function that makes one tensor. Out: model.safetensors, or shards
and their index, as transformers reads them. Shown by: `use: checkpoint`.
Limit: a shard is at most SHARD bytes, unless one tensor is larger.

Bytes are those of `safetensors.torch.save_file`: larger dtypes first, then by name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor

from train.weights.folder import INDEX, SIZES, WEIGHTS, Entry

SHARD = 5 * 2**30
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8},
    **{"U8": torch.uint8, "BOOL": torch.bool},
}
# safetensors' own order of dtypes of one size, which is that of their alignment.
_ORDER = ("BOOL", "U8", "I8", "I16", "F16", "BF16", "I32", "F32", "F64", "I64")


def write_weights(
    folder: Path,
    layout: Mapping[str, Entry],
    make: Callable[[str], Tensor],
    shard: int = SHARD,
) -> list[str]:
    """Write every tensor of a layout; the names of the files."""
    parts = shards_of(layout, shard)
    if len(parts) == 1:
        _write_file(folder / WEIGHTS, parts[0], make)
        return [WEIGHTS]
    names = [
        f"model-{number:05d}-of-{len(parts):05d}.safetensors" for number in range(1, len(parts) + 1)
    ]
    where: dict[str, str] = {}
    for name, part in zip(names, parts, strict=True):
        _write_file(folder / name, part, make)
        where |= dict.fromkeys(part, name)
    size = sum(entry.bytes for entry in layout.values())
    count = sum(entry.parameters for entry in layout.values())
    about = {"metadata": {"total_parameters": count, "total_size": size}}
    index = {**about, "weight_map": dict(sorted(where.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")
    return [*names, INDEX]


def shards_of(layout: Mapping[str, Entry], shard: int) -> list[dict[str, Entry]]:
    """Tensors by name, cut where a shard would grow beyond its size."""
    parts: list[dict[str, Entry]] = [{}]
    size = 0
    for name in sorted(layout):
        if parts[-1] and size + layout[name].bytes > shard:
            parts.append({})
            size = 0
        parts[-1][name] = layout[name]
        size += layout[name].bytes
    return parts


def _write_file(path: Path, layout: Mapping[str, Entry], make: Callable[[str], Tensor]) -> None:
    order = sorted(layout, key=lambda name: (-_ORDER.index(layout[name].dtype), name))
    head: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name in order:
        entry = layout[name]
        span = [at, at + entry.bytes]
        head[name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": span}
        at = span[1]
    text = json.dumps(head, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            _write_tensor(file, name, make(name), layout[name])


def _write_tensor(file: IO[bytes], name: str, tensor: Tensor, entry: Entry) -> None:
    if tuple(tensor.shape) != entry.shape:
        raise ValueError(f"{name} was made {list(tensor.shape)}; announced: {list(entry.shape)}")
    raw = tensor.detach().cpu().to(DTYPES[entry.dtype]).contiguous().reshape(-1)
    data: np.ndarray = raw.view(torch.uint8).numpy()
    assert data.nbytes == entry.parameters * SIZES[entry.dtype]
    file.write(data.data)
