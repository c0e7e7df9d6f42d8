"""`mixture`: what was asked of a mixture and what came of it.

In: a mixture. Out: a row a source, and for each stage. Shown by: `gristmill mixture mix/pretrain`.
Limit: what was written when it was built; `gristmill page` draws it.
"""

from __future__ import annotations

import sys

from pipelines.cli.options import FormatOption, NameArgument, StoreOption, app, open_store
from pipelines.cli.output import Format, show

WIDTH = 140  # where the output is no terminal


@app.command()
def mixture(
    name: NameArgument, store: StoreOption = "store", format: FormatOption = Format.table
) -> None:
    """Print a mixture's report: shares asked and got, epochs, worth, and the heuristics' shares.

    Examples: `gristmill mixture mix/pretrain`, `gristmill mixture mix/pretrain --format json`
    """
    from rich.console import Console

    from mixtures.blend.report import print_report, report_rows

    dataset = open_store(store)[name]
    if format is Format.table:
        print_report(dataset, Console() if sys.stdout.isatty() else Console(width=WIDTH))
    else:
        show(report_rows(dataset), format)
