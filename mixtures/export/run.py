"""Export: which dataset, which format, and an account of what was written.

In: a version (tokens, a mixture, or text) and a format's name. Out: a folder of the format's files,
`gristmill.json` that says what they are, and the tokenizer's files.
Shown by: `gristmill export tokens/web --to olmo --out web-olmo`.
Limit: one process: it writes about as fast as a disk does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gristmill.errors import GristmillError, StoreError, nearest
from gristmill.progress import PhaseProgress, Progress
from gristmill.store import Dataset
from mixtures.export import datatrove, huggingface, jsonl, mds, megatron, olmo
from mixtures.export.files import Format, Job, Part
from mixtures.export.folder import folder, write_about
from mixtures.export.sequences import Sequences
from mixtures.export.source import Source, source_of
from mixtures.tokens.tokenizers import LoadedTokenizer, load_tokenizer, save_files

FORMAT_VERSION = 1
FORMATS: dict[str, Format] = {
    found.name: found for found in (olmo.FORMAT, megatron.FORMAT, datatrove.FORMAT, mds.FORMAT)
}
AS_THEY_ARE = {"jsonl": jsonl.write, "huggingface": huggingface.write}
NAMES = (*FORMATS, *AS_THEY_ARE)


@dataclass(slots=True)
class Tally:
    """What went past."""

    sequences: int = 0
    tokens: int = 0
    padding: int = 0
    masked: int = 0  # tokens without loss, beside padding and the first of each piece
    largest: int = -1
    seqs: set[int] = field(default_factory=set)


def export(
    dataset: Dataset,
    to: str,
    out: Path,
    what: str | None = None,
    file_bytes: int | None = None,
    overwrite: bool = False,
    column: str = "input_ids",
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Write a version in another format; returns what `gristmill.json` says.

    Args:
        what: "rows" (of a mixture) or "documents" (of a token dataset; of a mixture: its pieces in
            the plan's order, without padding). By default what the dataset is made of.
        file_bytes: most bytes of tokens in a file; each format has a usual size.
        overwrite: replace `out` where it holds an earlier export.
        column: name of the tokens in MDS.
    Raises: GristmillError for a format, folder, size or dataset that does not fit.
    """
    if to not in NAMES:
        raise GristmillError(f"--to {to!r} is not a format{nearest(to, NAMES)}")
    if to in AS_THEY_ARE:
        if what is not None or file_bytes is not None:
            raise GristmillError(
                f"--to {to} writes rows as they are, a file for each shard: leave "
                "--what and --file-size out"
            )
        if dataset.manifest["kind"] == "packed":
            raise GristmillError(
                f"{dataset.ref}: rows of a mixture are places in token datasets, which {to} "
                "would write as numbers; use --to olmo, megatron, datatrove or mds"
            )
        write: _Write = partial(AS_THEY_ARE[to], dataset)
    else:
        source, format = source_of(dataset, what), FORMATS[to]
        most = _file_bytes(format, file_bytes)
        write = partial(_write_tokens, dataset, source, format, most, column)
    with folder(out, dataset.store, overwrite) as place, progress or Progress(quiet=True) as shown:
        parts, found = write(place, shown)
        about = {
            "format": FORMAT_VERSION,
            "to": to,
            "dataset": dataset.ref,
            "kind": dataset.manifest["kind"],
            **found,
            "files": [_file(place, part) for part in parts],
        }
        write_about(place, about)
    return about


_Write = Callable[[Path, Progress], tuple[list[Part], dict[str, Any]]]


def _write_tokens(
    dataset: Dataset,
    source: Source,
    format: Format,
    most: int | None,
    column: str,
    place: Path,
    progress: Progress,
) -> tuple[list[Part], dict[str, Any]]:
    tokenizer = load_tokenizer(source.tokenizer) if source.tokenizer else None
    phase = progress.phase(f"export {dataset.name}", source.total, source.what)
    tally = Tally()
    job = Job(place, source.dtype, most, source.masked, source.tokenizer_ref, column)
    parts = format.write(job, _counted(source, tally, phase, tokenizer, dataset))
    phase.finish()
    if source.what == "rows" and tally.sequences != source.total:
        raise StoreError(
            f"{dataset.ref}: {tally.sequences:,} of {source.total:,} rows came; "
            "this is a defect, please report it"
        )
    if tally.masked and not format.holds_mask:
        progress.note(
            f"{format.name} has no loss mask: {tally.masked:,} tokens that bear no loss in "
            f"{dataset.ref} will bear loss in a trainer that reads it"
        )
    if source.tokenizer is not None:
        save_files(source.tokenizer, place / "tokenizer")
    return parts, {
        **source.about,
        "what": source.what,
        "reader": format.reader,
        "tokenizer": source.tokenizer_ref,
        **_special(tokenizer),
        "dtype": _written_type(format, source.dtype),
        "sequences": tally.sequences,
        "tokens": tally.tokens,
        "padding": tally.padding,
        "masked": tally.masked,
        "seq": sorted(tally.seqs - {0}),
        "loss_mask": source.masked and format.holds_mask,
    }


def _counted(
    source: Source,
    tally: Tally,
    phase: PhaseProgress,
    tokenizer: LoadedTokenizer | None,
    dataset: Dataset,
) -> Iterator[Sequences]:
    """Pass sequences on, counted and checked."""
    for some in source.stream:
        tally.sequences += len(some)
        tally.tokens += len(some.tokens)
        padding = len(some.tokens) - int(some.spans.sum())
        tally.padding += padding
        if some.mask is not None:
            silent = ~some.mask
            if source.first_silent:
                start, stop = some.bounds()
                silent[start[stop > start]] = False
            tally.masked += int(silent.sum()) - padding
        tally.largest = max(tally.largest, int(some.tokens.max(initial=0)))
        tally.seqs.add(some.seq)
        if tokenizer is not None and tally.largest >= tokenizer.vocab_size:
            raise StoreError(
                f"{dataset.ref}: token {tally.largest:,} is outside its tokenizer's "
                f"{tokenizer.vocab_size:,}; tokenise again, or import its own tokenizer with it"
            )
        phase.advance(len(some))
        yield some
    if tally.sequences == 0:
        raise GristmillError(
            f"{dataset.ref} has no tokens; there is nothing to export. `gristmill show "
            f"{dataset.name}` tells what it holds"
        )


def _file_bytes(format: Format, asked: int | None) -> int | None:
    if asked is None:
        return format.file_bytes
    if asked < 1:
        raise GristmillError(f"--file-size {asked}: a file has room for a byte at least")
    if format.most_bytes is not None and asked > format.most_bytes:
        raise GristmillError(
            f"--file-size {asked:,} bytes: a file of {format.name} holds at most "
            f"{format.most_bytes:,} bytes of tokens"
        )
    return asked


def _special(tokenizer: LoadedTokenizer | None) -> dict[str, Any]:
    if tokenizer is None:
        return {"vocab_size": None, "eos": None}
    return {"vocab_size": tokenizer.vocab_size, "eos": tokenizer.eos}


def _written_type(format: Format, dtype: np.dtype[Any]) -> str:
    return "int32" if format.name == "megatron" and dtype.itemsize == 4 else dtype.name


def _file(place: Path, part: Part) -> dict[str, Any]:
    return {**asdict(part), "bytes": (place / part.file).stat().st_size}
