"""Exports read with the trainers' own readers, in an environment that has them.

In: a folder that `gristmill export` wrote, and a file to write. Out: that file (`.npz`: tokens end
to end, length of each sequence, what the reader says of masks, boundaries and positions), and one
JSON line: which reader, which version. Shown by: `python -m bench.exports`.
Limit: streaming's modules for pictures are left out, because they import torchvision, which has no
build for every torch.
"""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

WINDOW = 128  # tokens at a time where a reader knows windows only
Arrays = dict[str, np.ndarray]
Sequence = dict[str, Any]


def read_olmo(folder: Path, about: dict[str, Any]) -> Iterator[Sequence]:
    """Rows by NumpyFSLDataset, documents by the boundaries beside the tokens."""
    from olmo_core.data import NumpyFSLDataset
    from olmo_core.data.utils import iter_document_indices, load_array_slice

    dtype = getattr(np, about["dtype"])
    if about["what"] == "documents":
        for file in about["files"]:
            path, mask = _olmo_paths(folder, file, about)
            for start, stop in iter_document_indices(path, use_array_if_local=False, dtype=dtype):
                found = {"tokens": load_array_slice(path, start, stop, dtype)}
                if mask is not None:
                    found["mask"] = load_array_slice(mask, start, stop, np.bool_)
                yield found
        return
    for seq in about["seq"]:
        paths = [_olmo_paths(folder, f, about) for f in about["files"] if f["seq"] == seq]
        dataset = NumpyFSLDataset(
            *(path for path, _ in paths),
            sequence_length=seq,
            pad_token_id=about["pad"],
            eos_token_id=about["eos"] or 0,
            vocab_size=about["vocab_size"] or 1 << 20,
            dtype=dtype,
            label_mask_paths=[mask for _, mask in paths if mask is not None],
        )
        dataset.prepare()
        spans = [
            stop - start
            for path, _ in paths
            for start, stop in iter_document_indices(path, use_array_if_local=False, dtype=dtype)
        ]
        for number in range(len(dataset)):
            item = dataset[number]
            yield {
                "tokens": item["input_ids"].numpy(),
                "mask": item["label_mask"].numpy(),
                "spans": np.array(spans if number == 0 else [], np.int64),
            }


def _olmo_paths(
    folder: Path, file: dict[str, Any], about: dict[str, Any]
) -> tuple[str, str | None]:
    path = folder / file["file"]
    mask = path.with_name(path.name.replace("token_ids", "labels_mask"))
    return str(path), str(mask) if about["loss_mask"] else None


def read_megatron(folder: Path, about: dict[str, Any]) -> Iterator[Sequence]:
    """Sequences of IndexedDataset, each a document."""
    from megatron.core.datasets.indexed_dataset import IndexedDataset

    for file in about["files"]:
        dataset = IndexedDataset(str(folder / file["file"].removesuffix(".bin")))
        assert dataset.document_indices.tolist() == list(range(len(dataset) + 1))
        for number in range(len(dataset)):
            yield {"tokens": dataset[number].copy()}  # a view that outlives it reads freed memory


def read_datatrove(folder: Path, about: dict[str, Any]) -> Iterator[Sequence]:
    """Windows of DatatroveFileDataset: rows, or 128 tokens; positions from the index."""
    from datatrove.utils.dataset import DatatroveFileDataset, DatatroveFolderDataset

    width = np.dtype(about["dtype"]).itemsize
    found = DatatroveFolderDataset(str(folder), 1, token_size=width)
    assert len(found.files) == len(about["files"])
    for file in about["files"]:
        window = (file["seq"] or WINDOW) - 1
        path = str(folder / file["file"])
        dataset = DatatroveFileDataset(path, window, width, return_positions=True)
        for number in range(len(dataset)):
            item = dataset[number]
            yield {"tokens": item["input_ids"].numpy(), "positions": item["positions"].numpy()}


def read_mds(folder: Path, about: dict[str, Any]) -> Iterator[Sequence]:
    """Samples of StreamingDataset, in order, as a loader iterates over them."""
    for name in ("streaming.vision", "streaming.multimodal"):
        sys.modules[name] = types.ModuleType(name)
    from streaming import StreamingDataset
    from streaming.base.util import clean_stale_shared_memory

    clean_stale_shared_memory()
    for sample in StreamingDataset(local=str(folder), shuffle=False, batch_size=1):
        found = {"tokens": sample["input_ids"], "number": np.array([sample["number"]])}
        if "loss_mask" in sample:
            found["mask"] = sample["loss_mask"].astype(bool)
        if "lengths" in sample:
            found["spans"] = sample["lengths"]
        yield found


READERS = {
    "olmo": (read_olmo, "ai2-olmo-core"),
    "megatron": (read_megatron, "megatron-core"),
    "datatrove": (read_datatrove, "datatrove"),
    "mds": (read_mds, "mosaicml-streaming"),
}


def main() -> None:
    """Read, and hand over what was read."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print
    folder, target = Path(sys.argv[1]), sys.argv[2]
    about = json.loads((folder / "gristmill.json").read_text())
    read, package = READERS[about["to"]]
    sequences = list(read(folder, about))
    arrays = {
        name: np.concatenate([sequence[name] for sequence in sequences]).astype(np.int64)
        for name in sequences[0]
    }
    arrays["lengths"] = np.array([len(sequence["tokens"]) for sequence in sequences])
    np.savez(target, **arrays)
    print(json.dumps({"reader": package, "version": version(package)}), file=out)


if __name__ == "__main__":
    main()
