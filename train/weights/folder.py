"""Model folders as they lie on disk: the config, and of each tensor its file, dtype and shape.

In: a folder as `save_pretrained` writes it, sharded or not. Out: Folder; no weights are read.
Shown by: `use: checkpoint`. Limit: safetensors only; quantised checkpoints are refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gristmill.errors import RecipeError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
ADAPTER_CONFIG, ADAPTER = "adapter_config.json", "adapter_model.safetensors"  # as peft saves them
BESIDE = "adapter"  # where a stage leaves an adapter that it does not merge
# Bytes of an entry, by the names that the format uses.
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1}
SIZES |= {"U8": 1, "BOOL": 1}
FLOATS = ("F64", "F32", "F16", "BF16")


@dataclass(frozen=True, slots=True)
class Entry:
    """A tensor that is not loaded."""

    dtype: str  # as safetensors names it: F32, BF16, …
    shape: tuple[int, ...]

    @property
    def parameters(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        return self.parameters * SIZES[self.dtype]


@dataclass(frozen=True, slots=True)
class Folder:
    """A model, seen from outside."""

    label: str  # as the recipe names it
    path: Path
    config: dict[str, Any]
    tensors: dict[str, Entry]  # sorted by name
    files: dict[str, str]  # tensor -> file


def read_folder(path: Path, label: str) -> Folder:
    """Config and headers of a model, or of an adapter; RecipeError for what is neither."""
    if (path / ADAPTER_CONFIG).is_file() and (path / ADAPTER).is_file():
        adapted = read_header(path / ADAPTER)
        config = _read_json(path / ADAPTER_CONFIG, label)
        return Folder(label, path, config, adapted, dict.fromkeys(adapted, ADAPTER))
    config = _read_json(path / "config.json", label)
    if "quantization_config" in config:
        raise RecipeError(
            f"{label} is quantised; checkpoint operations need the weights it was made from"
        )
    index = path / INDEX
    if index.is_file():
        files = dict(_read_json(index, label)["weight_map"])
    elif (path / WEIGHTS).is_file():
        files = dict.fromkeys(read_header(path / WEIGHTS), WEIGHTS)
    else:
        raise RecipeError(f"{label}: neither {WEIGHTS} nor {INDEX} in {path}")
    found: dict[str, Entry] = {}
    for file in sorted(set(files.values())):
        if not (path / file).is_file():
            raise RecipeError(f"{label}: {INDEX} names {file}, which is not in {path}")
        header = read_header(path / file)
        found |= {name: entry for name, entry in header.items() if files.get(name) == file}
    if missing := sorted(set(files) - set(found)):
        raise RecipeError(f"{label}: {INDEX} names {missing[0]!r}, which {files[missing[0]]} lacks")
    names = sorted(found)
    if config.get("tie_word_embeddings") and "lm_head.weight" in found:
        # Some writers store tied weights twice; the second would drift apart from the first.
        names.remove("lm_head.weight")
    return Folder(label, path, config, {name: found[name] for name in names}, files)


def read_header(file: Path) -> dict[str, Entry]:
    """Tensors of a safetensors file: 8 bytes of length, then JSON."""
    with file.open("rb") as opened:
        head: Mapping[str, Any] = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
    found = {}
    for name, about in head.items():
        if name == "__metadata__":
            continue
        if about["dtype"] not in SIZES:
            raise RecipeError(f"{file}: {name} has dtype {about['dtype']}; one of {sorted(SIZES)}")
        found[name] = Entry(about["dtype"], tuple(about["shape"]))
    return found


def _read_json(path: Path, label: str) -> dict[str, Any]:
    if not path.is_file():
        raise RecipeError(f"{label}: no {path.name} in {path.parent}; a model folder has one")
    found: dict[str, Any] = json.loads(path.read_text())
    return found
