"""Small readers of the formats that are exported, written from what is public about each format.

Each gives the sequences of a folder in order; no package of the trainers is needed.
"""

from __future__ import annotations

import gzip
import json
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Read = dict[str, Any]


def about(folder: Path) -> Read:
    found: Read = json.loads((folder / "gristmill.json").read_text())
    return found


def read_olmo(folder: Path) -> list[Read]:
    """A document or piece each: tokens, number, mask."""
    dtype, read = about(folder)["dtype"], []
    for path in sorted(folder.glob("token_ids_part_*.npy")):
        tokens = np.fromfile(path, dtype)
        masks = path.with_name(path.name.replace("token_ids", "labels_mask"))
        mask = np.fromfile(masks, bool) if masks.exists() else np.ones(len(tokens), bool)
        assert len(mask) == len(tokens)
        with gzip.open(path.with_suffix(".csv.gz"), "rt") as lines:
            for line in lines:
                start, stop, number = map(int, line.split(","))
                read.append(
                    {"tokens": tokens[start:stop], "mask": mask[start:stop], "number": number}
                )
    return read


def olmo_rows(folder: Path) -> list[Read]:
    """Chunks of the rows' length, as a dataset of fixed length reads them."""
    found, read = about(folder), []
    for file in found["files"]:
        tokens = np.fromfile(folder / file["file"], found["dtype"])
        mask = np.fromfile(folder / file["file"].replace("token_ids", "labels_mask"), bool)
        assert len(tokens) % file["seq"] == 0
        shape = (-1, file["seq"])
        pairs = zip(tokens.reshape(shape), mask.reshape(shape), strict=True)
        read += [{"tokens": row, "mask": kept} for row, kept in pairs]
    return read


def read_megatron(folder: Path) -> list[Read]:
    """A sequence each."""
    read = []
    for path in sorted(folder.glob("*.idx")):
        raw = path.read_bytes()
        magic, version, code, count, boundaries = struct.unpack_from("<9sQBQQ", raw)
        assert (magic, version) == (b"MMIDIDX\0\0", 1)
        dtype = {4: np.dtype("<i4"), 8: np.dtype("<u2")}[code]
        at = struct.calcsize("<9sQBQQ")
        sizes = np.frombuffer(raw, "<i4", count, at)
        pointers = np.frombuffer(raw, "<i8", count, at + 4 * count)
        ends = np.frombuffer(raw, "<i8", boundaries, at + 12 * count)
        assert len(raw) == at + 12 * count + 8 * boundaries
        assert ends.tolist() == list(range(count + 1))
        data = path.with_suffix(".bin").read_bytes()
        assert len(data) == int(sizes.sum()) * dtype.itemsize
        read += [
            {"tokens": np.frombuffer(data, dtype, size, pointer)}
            for size, pointer in zip(sizes.tolist(), pointers.tolist(), strict=True)
        ]
    return read


def read_datatrove(folder: Path) -> list[Read]:
    """A document, piece or padding each."""
    read = []
    for path in sorted(folder.glob("*.ds")):
        name, count, _ = Path(f"{path}.metadata").read_text().split("\n")
        dtype = {"2": "<u2", "4": "<u4"}[name.rpartition("|")[2]]
        tokens = np.fromfile(path, dtype)
        assert len(tokens) == int(count)
        loss = Path(f"{path}.loss")
        mask = np.fromfile(loss, bool) if loss.exists() else np.ones(len(tokens), bool)
        start = 0
        for end in np.fromfile(f"{path}.index", "<u8").tolist():
            read.append({"tokens": tokens[start:end], "mask": mask[start:end]})
            assert end > start
            start = end
        assert start == len(tokens) == len(mask)
    return read


def read_mds(folder: Path) -> list[Read]:
    """A sample each: its columns."""
    index, read = json.loads((folder / "index.json").read_text()), []
    assert index["version"] == 2
    for shard in index["shards"]:
        raw = (folder / shard["raw_data"]["basename"]).read_bytes()
        assert len(raw) == shard["raw_data"]["bytes"]
        (count,) = np.frombuffer(raw, "<u4", 1)
        assert count == shard["samples"]
        ends = np.frombuffer(raw, "<u4", count + 1, 4)
        config = json.loads(raw[8 + 4 * count : ends[0]])
        assert all(shard[key] == value for key, value in config.items())
        read += [_sample(raw[begin:end], config) for begin, end in pairwise(ends)]
    return read


def _sample(raw: bytes, config: Read) -> Read:
    varying = [size is None for size in config["column_sizes"]]
    sizes = iter(np.frombuffer(raw, "<u4", sum(varying)).tolist())
    at, sample = 4 * sum(varying), {}
    for name, encoding, fixed in zip(
        config["column_names"], config["column_encodings"], config["column_sizes"], strict=True
    ):
        size = next(sizes) if fixed is None else fixed
        sample[name] = _value(raw[at : at + size], encoding)
        at += size
    assert at == len(raw)
    return sample


def _value(raw: bytes, encoding: str) -> Any:
    if encoding == "int":
        return int(np.frombuffer(raw, "<i8")[0])
    width = {0: "<u1", 1: "<u2", 2: "<u4", 3: "<u8"}[raw[0] & 3]
    assert raw[0] >> 2 == 1  # one dimension
    shape = np.frombuffer(raw, width, 1, 1)
    values = np.frombuffer(raw[1 + np.dtype(width).itemsize :], encoding.removeprefix("ndarray:"))
    assert len(values) == shape[0]
    return values
