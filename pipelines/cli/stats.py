"""`stats`: totals, counts, quantiles, duplicate rates and epochs of a dataset.

In: a dataset and a question. Out: rows. Shown by: `gristmill stats web/clean --by language`.
Limit: one question a call: `--quantiles`, `--duplicates` or `--budget`.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill.errors import GristmillError
from gristmill.store import Dataset
from pipelines.cli.options import FormatOption, NameArgument, StoreOption, app, open_store
from pipelines.cli.output import Format, show, show_object


@app.command()
def stats(
    name: NameArgument,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            help="Group by a column, or several: `topic,format`. `host` is taken from `url`.",
        ),
    ] = None,
    of: Annotated[
        str | None,
        typer.Option("--quantiles", "--of", help="Quantiles of this column in each group."),
    ] = None,
    duplicates: Annotated[
        bool, typer.Option("--duplicates", help="Texts that are there more than once.")
    ] = False,
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="Epochs of each group at so many tokens: 2e9, `2B`."),
    ] = None,
    top: Annotated[int, typer.Option("--top", min=1, help="At most so many groups.")] = 50,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Totals and counts from the manifest, without a scan; quantiles of any column by one.

    Examples: `gristmill stats web/clean`, `gristmill stats web/clean --by language`,
    `gristmill stats web/clean --by language --quantiles text`,
    `gristmill stats web/clean --duplicates`,
    `gristmill stats tokens/web --by source --budget 2e9`
    """
    asked = {"--quantiles": of is not None, "--duplicates": duplicates, "--budget": bool(budget)}
    given = [option for option, there in asked.items() if there]
    if len(given) > 1:
        raise GristmillError(f"{' and '.join(given)}: stats answers one of them at a time")
    dataset = open_store(store)[name]
    if duplicates:
        _show_repeats(dataset, by, top, format)
    elif budget is not None:
        from pipelines.budget import at_budget

        show(at_budget(dataset, budget, by, top), format)
    else:
        _show_stats(dataset, by, of, top, format)


def _show_stats(dataset: Dataset, by: str | None, of: str | None, top: int, format: Format) -> None:
    from gristmill.stats import stats as rows_of
    from gristmill.stats import totals

    rows = rows_of(dataset, by, of, top)
    if by is not None or of is not None:
        show(rows, format)
        return
    if format is Format.json:
        show_object({**totals(dataset), "counts": rows}, format)
        return
    if format is Format.table:
        show_object(totals(dataset), format)
    show(rows, format, ["column", "value", "rows", "share"])


def _show_repeats(dataset: Dataset, by: str | None, top: int, format: Format) -> None:
    from gristmill.repeats import removed, repeats

    rows = repeats(dataset, by, top)
    steps = [] if by else removed(dataset)
    if format is Format.json and not by:
        show_object({**rows[0], "removed": steps}, format)
        return
    show(rows, format)
    if format is Format.table and steps:
        show(steps, format, title="removed by deduplication before")
