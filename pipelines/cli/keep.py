"""`verify`, `gc`, `status`: the store's health, its garbage, and runs that did not finish.

In: a store. Out: tables; `gc --yes` removes. Shown by: `gristmill status`.
Limit: `status` tells a run of this machine from a dead one by its process id.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from gristmill.live import live_processes, read_note
from gristmill.progress import Progress, human
from pipelines.cli.options import FormatOption, QuietOption, StoreOption, app, existing_store
from pipelines.cli.output import Format, show


@app.command()
def verify(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this dataset or NAME@VERSION.")
    ] = None,
    store: StoreOption = "store",
    quiet: QuietOption = False,
    format: FormatOption = Format.table,
) -> None:
    """Hash every shard again (bytes and rows) and follow every ref, build and parent.

    Exits with 1 when an error is found. Examples: `gristmill verify`, `gristmill verify web/clean`
    """
    from gristmill.verify import verify as check

    with Progress(quiet) as progress:
        checked, problems = check(existing_store(store), name, progress)
    rows = [{"level": p.level, "where": p.where, "what": p.what} for p in problems]
    errors = sum(p.level == "error" for p in problems)
    if rows or format is not Format.table:
        show(rows, format, ["level", "where", "what"])
    if format is Format.table:
        print(f"{checked} versions checked, {errors} errors")
    if errors:
        raise typer.Exit(1)


@app.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", help="Remove what is listed.")] = False,
    superseded: Annotated[
        bool,
        typer.Option("--superseded", help="Also builds and versions that no tag leads to."),
    ] = False,
    days: Annotated[
        float, typer.Option("--days", min=0, help="Leave alone what is younger.")
    ] = 7.0,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Show what nothing needs, with the bytes that it frees; remove it only with --yes.

    Examples: `gristmill gc`, `gristmill gc --superseded --days 30`, `gristmill gc --yes`
    """
    from gristmill.garbage import gc as collect

    place = existing_store(store)
    found = collect(place, apply=yes, superseded=superseded, days=days)
    rows = [
        {"path": g.path, "kind": g.kind, "bytes": g.bytes, "why": g.why, "removed": yes}
        for g in found
    ]
    if rows or format is not Format.table:
        show(rows, format, ["path", "kind", "bytes", "why", "removed"])
    if format is Format.table:
        size = human(sum(g.bytes for g in found), "B")
        if not rows:
            print(f"{place.path}: nothing to remove")
        else:
            print(f"{size} removed" if yes else f"{size} can go; --yes removes them")


@app.command()
def status(
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Show runs under way, interrupted or failed: phases, tasks done, tasks failed, the error.

    An interrupted run continues with the command that started it; a failed one fails again until
    what its error says is mended. Example: `gristmill status`
    """
    place = existing_store(store)
    rows = []
    if place.staging.is_dir():
        folders = [f for f in place.staging.iterdir() if (f / "run.json").is_file()]
        for folder in sorted(folders, key=lambda f: f.stat().st_mtime):
            rows += _phases(folder)
    columns = ["name", "use", "fingerprint", "state", "phase", "tasks", "done", "failed"]
    if rows or format is not Format.table:
        show(rows, format, [*columns, "started_at", "recipe", "error"])
    else:
        print(f"{place.path}: no run is under way, interrupted or failed")


def _phases(folder: Path) -> list[dict[str, Any]]:
    run = read_note(folder)  # empty where it finished while we looked
    rows = []
    for phase, known in run.get("phases", {}).items():
        home = folder / phase
        found = list(home.iterdir()) if home.is_dir() else []
        failed = [path for path in found if path.name.endswith(".failed.json")]
        rows.append(
            {
                "name": run.get("name"),
                "use": run.get("use"),
                "fingerprint": folder.name,
                "phase": phase,
                "tasks": known["tasks"] if isinstance(known, dict) else known,
                "done": sum((path / "task.json").is_file() for path in found),
                "failed": len(failed),
                "started_at": str(run.get("started_at", ""))[:19],
                "recipe": run.get("recipe"),
                "error": _error(failed),
            }
        )
    ended = "failed" if any(row["failed"] for row in rows) else "interrupted"
    state = "running" if live_processes(folder) else ended
    return [{**row, "state": state} for row in rows]


def _error(failed: list[Path]) -> str | None:
    """The first line of the first one."""
    for path in sorted(failed):
        try:
            record = json.loads(path.read_text())
            told = str(record["message"] if record["user_error"] else record["error"])
            return told.partition("\n")[0]
        except (OSError, ValueError, KeyError):
            continue
    return None
