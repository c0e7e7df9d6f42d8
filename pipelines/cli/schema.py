"""`schema`: the keys of a step for people, the JSON Schema of recipes for editors.

In: a step, or nothing. Out: a table; JSON on stdout or in a file.
Shown by: `gristmill schema train`.
Limit: steps and ops of packages that are installed where it runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import FormatOption, app
from pipelines.cli.output import Format, show


@app.command()
def schema(
    step: Annotated[
        str | None,
        typer.Argument(metavar="[STEP]", help="Its keys; docs/steps.md has all steps."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="The file to write.")] = None,
    format: FormatOption = Format.table,
) -> None:
    """Show the keys of a step, or print the JSON Schema of recipes, so that editors complete them.

    Examples: `gristmill schema train`, `gristmill schema curate --format json`,
    `gristmill schema --out recipe.schema.json`, `gristmill schema | jq '."$defs" | keys'`
    """
    if step is not None and out is None and format is not Format.json:
        from pipelines.step_table import step_rows

        show(step_rows(step), format, ["key", "type", "default", "meaning"])
        return
    from pipelines.json_schema import recipe_schema
    from pipelines.step_table import step_schema

    found = recipe_schema() if step is None else step_schema(step)
    text = json.dumps(found, indent=1, ensure_ascii=False)
    if out is None:
        print(text)
        return
    out.write_text(text + "\n", encoding="utf-8")
    print(f"{out} written; a recipe's first line: # yaml-language-server: $schema={out}")
