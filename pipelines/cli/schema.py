"""`schema`: the JSON Schema of recipes, for editors.

In: nothing. Out: JSON on stdout, or a file. Shown by: `gristmill schema --out recipe.schema.json`.
Limit: steps and ops of packages that are installed where it runs.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import app


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option("--out", help="The file to write.")] = None,
) -> None:
    """Print the JSON Schema of recipes, so that editors complete and check them.

    Examples: `gristmill schema --out recipe.schema.json`, `gristmill schema | jq '."$defs" | keys'`
    """
    from pipelines.json_schema import recipe_schema

    text = json.dumps(recipe_schema(), indent=1, ensure_ascii=False)
    if out is None:
        print(text)
        return
    out.write_text(text + "\n", encoding="utf-8")
    print(f"{out} written; a recipe's first line: # yaml-language-server: $schema={out}")
