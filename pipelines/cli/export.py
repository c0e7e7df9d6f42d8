"""`export`: a version as files that other trainers read.

In: a dataset. Out: a folder. Shown by: `gristmill export tokens/web --to olmo --out web-olmo`.
Limit: a folder on this machine's file system, outside the store.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from gristmill.errors import GristmillError
from gristmill.progress import Progress, human
from pipelines.cli.options import (
    FormatOption,
    NameArgument,
    QuietOption,
    StoreOption,
    app,
    open_store,
)
from pipelines.cli.output import Format, show, show_object

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "KI": 1 << 10, "MI": 1 << 20, "GI": 1 << 30}


@app.command()
def export(
    name: NameArgument,
    to: Annotated[
        str,
        typer.Option(
            "--to", metavar="FORMAT", help="olmo, megatron, datatrove, mds, jsonl or huggingface."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="The folder to make.")],
    what: Annotated[
        str | None,
        typer.Option("--what", help="rows (of a mixture) or documents; by default what it has."),
    ] = None,
    file_size: Annotated[
        str | None, typer.Option("--file-size", help="Most bytes of tokens in a file, e.g. 2GB.")
    ] = None,
    column: Annotated[
        str, typer.Option("--column", help="Name of the tokens in MDS.")
    ] = "input_ids",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export in DIR.")
    ] = False,
    store: StoreOption = "store",
    quiet: QuietOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Write tokens or a mixture in the files of another trainer, or any rows as they are.

    Examples: `gristmill export tokens/web --to megatron --out web-megatron`,
    `gristmill export mix/pretrain --to olmo --out mix-olmo`,
    `gristmill export mix/pretrain --to mds --out mix-mds --file-size 128MiB`,
    `gristmill export synth/qa --to huggingface --out qa`
    """
    from mixtures.export.run import export as write

    dataset = open_store(store)[name]
    limit = None if file_size is None else _bytes(file_size)
    with Progress(quiet) as progress:
        about = write(dataset, to, out, what, limit, overwrite, column, progress)
    if format is Format.json:
        show_object(about, format)
        return
    files = about.pop("files")
    if format is Format.table:
        show_object({**about, "files": len(files), "bytes": _total(files)}, format, f"{out}")
        files = [{**file, "bytes": human(file["bytes"], "B")} for file in files]
    show(files, format)


def _total(files: list[dict[str, Any]]) -> str:
    return human(sum(file["bytes"] for file in files), "B")


def _bytes(text: str) -> int:
    """`2GB`, `64MiB`, `5000` as bytes."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?I?)B?", text.strip().upper())
    if found is None or found[2] not in _UNITS:
        raise GristmillError(
            f"--file-size {text!r} is not a size; write bytes, or 500MB, 64MiB, 2GB"
        )
    return int(float(found[1]) * _UNITS[found[2]])
