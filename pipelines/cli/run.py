"""`run`, `plan`, `init`, `import`: commands that make datasets, or say what would be made.

In: a recipe. Out: versions. Shown by: `gristmill run pipelines/recipes/fineweb.yaml`.
Limit: one machine (`--executor local`).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gristmill.progress import Progress, hours_told, human
from gristmill.store import Dataset
from pipelines.cli.options import (
    FormatOption,
    QuietOption,
    SetOption,
    StoreOption,
    app,
    open_store,
)
from pipelines.cli.output import Format, show
from pipelines.init import shipped, write_recipe

RecipeArgument = Annotated[str, typer.Argument(metavar="RECIPE", help="A recipe's YAML file.")]
ProfileOption = Annotated[str | None, typer.Option("--profile", help="A profile of the recipe.")]
LimitOption = Annotated[
    int | None, typer.Option("--limit", min=1, help="At most so many records of each source.")
]

MOST_READ = 4  # datasets and patterns in a cell of a plan


@app.command()
def run(
    recipe: RecipeArgument,
    set: SetOption = None,
    profile: ProfileOption = None,
    limit: LimitOption = None,
    only: Annotated[str | None, typer.Option("--only", help="Run this step alone.")] = None,
    executor: Annotated[str, typer.Option("--executor", help="Where tasks run.")] = "local",
    cluster: Annotated[str | None, typer.Option("--cluster", help="Cluster settings.")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", min=1, help="Processes; by default one a core.")
    ] = None,
    store: StoreOption = "store",
    quiet: QuietOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Run a recipe: what is built is skipped, what was interrupted continues.

    Examples: `gristmill run fineweb.yaml --set crawl='crawl/*.warc.gz'`,
    `gristmill run fineweb.yaml --set web/unique.threshold=0.7 --only web/unique --workers 4`

    What a recipe may say: `gristmill schema STEP` (e.g. `gristmill schema train`), docs/steps.md
    and docs/recipes.md; `gristmill plan` checks it.
    """
    from pipelines.recipe import parse_set
    from pipelines.run import run_recipe

    place = open_store(store)
    with Progress(quiet) as progress:
        versions = run_recipe(
            recipe,
            store=place,
            set=parse_set(set or []),
            profile=profile,
            limit=limit,
            only=only,
            executor=executor,
            cluster=cluster,
            workers=workers,
            progress=progress,
        )
    rows = []
    for name, version in versions.items():
        totals = Dataset(place, name, version).manifest["totals"]
        size = human(totals["bytes"], "B") if format is Format.table else totals["bytes"]
        rows.append({"name": name, "version": version, "rows": totals["rows"], "bytes": size})
    show(rows, format, ["name", "version", "rows", "bytes"])


@app.command()
def plan(
    recipe: RecipeArgument,
    set: SetOption = None,
    profile: ProfileOption = None,
    limit: LimitOption = None,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Show what `run` would do and what it would cost; nothing is run or written.

    Examples: `gristmill plan fineweb.yaml --set crawl='crawl/*.warc.gz'`,
    `gristmill plan fineweb.yaml --profile toy --format json`
    """
    from pipelines.plan import plan_recipe
    from pipelines.recipe import parse_set

    steps = plan_recipe(
        recipe, store=open_store(store), set=parse_set(set or []), profile=profile, limit=limit
    )
    rows = [step.as_dict() for step in steps]
    stages = {row["name"]: row["stage"] for row in rows if "steps" in row["stage"]}
    show(map(_table_row, rows) if format is Format.table else rows, format)
    if stages and format is Format.table:
        from train.forecast import table_row

        show([table_row(name, stage) for name, stage in stages.items()], format)
    for step in steps:
        if step.warning:
            print(f"warning: {step.warning}", file=sys.stderr)


def _table_row(row: dict[str, Any]) -> dict[str, Any]:
    """A step of a plan for people."""
    more = len(row["reads"]) - MOST_READ
    return {
        "name": row["name"],
        "use": row["use"],
        "reads": " ".join(row["reads"][:MOST_READ]) + (f" and {more} more" if more > 0 else ""),
        "state": row["state"],
        "why": row["why"],
        "documents": human(row["documents"]) if row["documents"] else "",
        "tokens": human(row["tokens"]) if row["tokens"] else "",
        "core time": hours_told(row["core_hours"]) if row["core_hours"] else "",
        "disk": human(row["disk_bytes"], "B"),
        "forecast": "from this store" if row["measured"] else "default rates",
    }


@app.command()
def init(
    target: Annotated[Path, typer.Argument(help="The file to write.")] = Path("recipe.yaml"),
    template: Annotated[
        str, typer.Option("--template", help=f"One of these: {', '.join(shipped())}.")
    ] = "fineweb",
) -> None:
    """Write a recipe of your own, copied from one that comes with Gristmill.

    Examples: `gristmill init`, `gristmill init web.yaml --template fineweb`
    """
    written = write_recipe(target, template)
    crawl = " --set crawl='DUMP/*.warc.gz'" if "${crawl}" in written.read_text() else ""
    print(f"{written} written; next: gristmill plan {written}{crawl}")


@app.command("import")
def import_files(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The dataset to make.")],
    files: Annotated[list[str], typer.Argument(help="Parquet or JSON files, or globs.")],
    kind: Annotated[
        str,
        typer.Option("--kind", help="document, chat, preference, prompt, teacher, tokens or rows."),
    ] = "rows",
    workers: Annotated[int | None, typer.Option("--workers", "-w", min=1)] = None,
    store: StoreOption = "store",
    quiet: QuietOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Take rows that another tool made into the store, in the form of their kind.

    Examples: `gristmill import chats/tulu 'tulu/*.parquet' --kind chat`,
    `gristmill import seeds seeds.jsonl`
    """
    from pipelines.import_step import Import
    from pipelines.local import LocalExecutor
    from pipelines.run import run_step

    place = open_store(store)
    step = Import.model_validate({"name": name, "use": "import", "from": files, "kind": kind})
    with Progress(quiet) as progress, LocalExecutor(workers) as executor:
        versions = run_step(step, place, executor, progress, {})
    rows = [
        {"name": name, "version": version, "rows": Dataset(place, name, version).rows}
        for name, version in versions.items()
    ]
    show(rows, format)
