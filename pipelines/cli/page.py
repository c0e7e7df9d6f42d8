"""`page`: a dataset as one HTML file.

In: a dataset. Out: a file. Shown by: `gristmill page web/final --out final.html`.
Limit: made once; run it again for another version.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gristmill.errors import GristmillError
from pipelines.cli.options import NameArgument, StoreOption, app, open_store


@app.command()
def page(
    name: NameArgument,
    out: Annotated[
        Path | None, typer.Option("--out", help="The file; by default named after the dataset.")
    ] = None,
    samples: Annotated[
        int, typer.Option("--samples", min=0, help="Rows to quote; 0 leaves texts out.")
    ] = 5,
    store: StoreOption = "store",
) -> None:
    """Write one static HTML page of a dataset or mixture: totals, lineage, funnel, pictures.

    Examples: `gristmill page web/final`, `gristmill page mix/pretrain --out mixture.html`
    """
    from pipelines.pages import page_of

    dataset = open_store(store)[name]
    target = out or Path(f"{dataset.name.replace('/', '-')}@{dataset.version}.html")
    if target.is_dir():
        raise GristmillError(f"--out {target} is a directory; name a file, e.g. {target}/page.html")
    text = page_of(dataset, samples)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    print(f"{target} written ({len(text.encode()) / 1024:,.0f} KiB): open it in a browser")
