"""`requests`: what models answered, kept so that nothing is paid for twice.

In: a store. Out: a line a model. Shown by: `gristmill requests`.
Limit: a log goes as a whole; there is no way to drop some of its answers.
"""

from __future__ import annotations

from typing import Annotated

import typer

from gristmill.progress import human
from pipelines.cli.options import FormatOption, StoreOption, app, existing_store
from pipelines.cli.output import Format, show


@app.command()
def requests(
    drop: Annotated[
        str | None, typer.Option("--drop", metavar="FOLDER", help="Remove the log of this model.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Really remove it.")] = False,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Show the answers of models that synthesize steps keep and reuse.

    A step never asks again what is here: after a kill, with another scorer or parser, with a larger
    n. Datasets that were made do not need it. Examples: `gristmill requests`,
    `gristmill requests --drop 8413b6b736f8 --yes`
    """
    from synth.driving.kept import drop as remove
    from synth.driving.kept import kept

    place = existing_store(store)
    rows = kept(place)
    if drop is not None:
        chosen = remove(place, drop) if yes else next((k for k in rows if k.folder == drop), None)
        if chosen is None:
            raise typer.BadParameter(f"{drop!r} is none of {[k.folder for k in rows]}")
        size = f"{chosen.answers:,} answers of {chosen.model or chosen.folder}"
        size += f", {human(chosen.bytes, 'B')}"
        print(f"removed {size}" if yes else f"{size} would go; --yes removes them")
        return
    if rows or format is not Format.table:
        show([row.as_dict() for row in rows], format)
    else:
        print(f"{place.path}: no model was asked yet")
