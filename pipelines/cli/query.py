"""`sql`, `sample`, `diff`: questions about rows.

In: a store and a question. Out: rows. Shown by: `gristmill sql 'show tables'`.
Limit: results are printed, not stored; a recipe makes new datasets.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gristmill.errors import GristmillError
from pipelines.cli.options import FormatOption, NameArgument, StoreOption, app, existing_store
from pipelines.cli.output import Format, show, show_object, show_tuples


@app.command()
def sql(
    query: Annotated[str, typer.Argument(help="One SELECT; `-` reads it from stdin.")],
    this: Annotated[
        str | None, typer.Option("--this", help="The dataset that `this` stands for.")
    ] = None,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Ask anything: DuckDB's SELECTs over every dataset of the store, by name in double quotes.

    Examples:
    `gristmill sql 'select language, count(*) from "web/clean" group by 1'`,
    `gristmill sql 'select reason, count(*) from "web/clean.ledger" group by 1 order by 2 desc'`,
    `gristmill sql 'summarize "web/clean@1f2e3d4c5b6a"'`, `gristmill sql 'show tables'`
    """
    from gristmill.query import Catalog

    place = existing_store(store)
    text = sys.stdin.read() if query == "-" else query
    columns, rows = Catalog(place, this=place[this] if this else None).stream(text)
    show_tuples(columns, rows, format, blocks=True)


@app.command()
def sample(
    name: NameArgument,
    n: Annotated[int, typer.Option("-n", "--rows", min=1, help="How many rows.")] = 5,
    where: Annotated[
        str | None, typer.Option("--where", help="An SQL condition on the rows.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another seed, other rows.")] = 0,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Show some rows, the same ones for the same seed.

    Examples: `gristmill sample web/clean -n 3`,
    `gristmill sample web/clean --where "language = 'de'" --seed 7 --format json`
    """
    from gristmill.sample import sample as draw

    table = draw(existing_store(store)[name], n, where, seed)
    rows = table.to_pylist()
    if format is not Format.table:
        show(rows, format, table.schema.names)
        return
    for number, row in enumerate(rows, 1):
        filled = {key: value for key, value in row.items() if value is not None}
        show_object(filled, format, f"row {number} of {len(rows)}")


@app.command()
def diff(
    a: Annotated[str, typer.Argument(help="Before: a dataset or NAME@VERSION.")],
    b: Annotated[str | None, typer.Argument(help="After; by default the latest of A.")] = None,
    examples: Annotated[int, typer.Option("--examples", min=0, help="Rows to show.")] = 5,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Compare two versions: rows or files added, removed, changed; schema, and what was asked.

    Examples: `gristmill diff web/clean@1f2e web/clean`, `gristmill diff web/clean web/unique`
    """
    from gristmill.diff import diff as compare

    place = existing_store(store)
    before = place[a]
    if b is None and "@" not in a:
        raise GristmillError(f"diff needs two versions: {a}@VERSION, or {a} and another dataset")
    found = compare(before, place[b or before.name], examples)
    if format is Format.json:
        show_object(found.as_dict(), format)
        return
    counts = found.as_dict()
    lists = {key: counts.pop(key) for key in ("schema", "asked", "files", "examples")}
    if format is Format.csv:
        show_object(counts, format)
        return
    if before.is_folder:  # no rows to count
        counts = {key: counts[key] for key in ("a", "b", "same")}
        counts["files that differ"] = len(found.files)
    show_object(counts, format, "the same version" if found.same else None)
    for title, rows in lists.items():
        if rows:
            show(rows, format, title=title)
    changes = found.added or found.removed or found.changed or found.schema or found.files
    if not (found.same or changes):
        print("The same rows in another order or other shards.")
