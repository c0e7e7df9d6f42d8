"""`ls`, `show`, `lineage`: what the store holds and where it came from.

In: a store. Out: tables. Shown by: `gristmill ls`. Limit: `ls` reads one manifest a version.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gristmill.asked import flat
from gristmill.errors import StoreError, nearest
from gristmill.progress import clock, human
from gristmill.store import Dataset, Store
from pipelines.cli.options import FormatOption, NameArgument, StoreOption, app, existing_store
from pipelines.cli.output import Format, show, show_object


@app.command()
def ls(
    name: Annotated[
        str | None, typer.Argument(help="Only this dataset and those below it, e.g. `web`.")
    ] = None,
    all: Annotated[bool, typer.Option("--all", "-a", help="Old versions too.")] = False,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """List datasets: the latest version of each, with rows and bytes.

    Examples: `gristmill ls`, `gristmill ls web --all`, `gristmill ls --format json`
    """
    place = existing_store(store)
    known = place.names()
    below = (f"{name}/", f"{name}.")
    names = [found for found in known if not name or found == name or found.startswith(below)]
    if name and not names:
        hint = nearest(name, known)
        raise StoreError(f"no dataset {name!r} in {place.path}, nor any below it{hint}")
    rows = [row for found in names for row in _versions(place, found, all)]
    if format is Format.table:
        rows = [
            {**row, "bytes": human(row["bytes"], "B"), "tags": " ".join(row["tags"])}
            for row in rows
        ]
    columns = ["name", "version", "rows", "bytes", "kind", "tags", "created_at"]
    if names or format is not Format.table:
        show(rows, format, columns, f"{place.path}")
    else:
        print(f"{place.path}: no datasets yet; `gristmill run` or `gristmill import` makes them")


def _versions(store: Store, name: str, every: bool) -> list[dict[str, Any]]:
    refs = store.refs(name)
    created = {v: str(builds[0].get("created_at", "")) for v, builds in store.makers(name).items()}
    rows = []
    for version in store.versions(name):
        tags = sorted(tag for tag, of in refs.items() if of == version)
        if not (every or tags):
            continue
        manifest = Dataset(store, name, version).manifest
        rows.append(
            {
                "name": name,
                "version": version,
                "rows": manifest["totals"]["rows"],
                "bytes": manifest["totals"]["bytes"],
                "kind": manifest["kind"],
                "tags": tags,
                "created_at": created.get(version, "")[:19],
            }
        )
    return rows


@app.command("show")
def show_dataset(
    name: NameArgument,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Show one version: columns, totals, how it was built, and its drop funnel.

    Examples: `gristmill show web/clean`, `gristmill show web/clean@1f2e --format json`
    """
    from gristmill.goodput import goodput
    from gristmill.lineage import funnel
    from gristmill.stats import totals

    dataset = existing_store(store)[name]
    builds = dataset.store.builds_of(dataset)
    build = builds[-1] if builds else {}
    summary = {
        **totals(dataset),
        "path": str(dataset.path),
        "tags": [t for t, v in dataset.store.refs(dataset.name).items() if v == dataset.version],
        "build": {key: build[key] for key in build if key not in {"config", "counts", "outputs"}},
    }
    schema = [{"column": n, "type": kind} for n, kind in dataset.manifest["schema"]]
    drops = [row for row in funnel(dataset) if row["step"].startswith(f"{build.get('name')}@")]
    if format is Format.json:
        config, outputs = build.get("config"), build.get("outputs")
        more = {"config": config, "outputs": outputs, "schema": schema, "funnel": drops}
        show_object({**summary, **more}, format)
        return
    facts = summary["build"].pop("facts", {})
    shown = {**summary, **{f"build.{key}": value for key, value in summary.pop("build").items()}}
    shown |= flat(facts, "facts", lists=False)
    shown["bytes"] = human(shown["bytes"], "B")
    of_rows = {"rows", "text_bytes", "shards", "counted"} if dataset.is_folder else set()
    shown = {key: value for key, value in shown.items() if key not in {"build", *of_rows}}
    show_object(shown, format, dataset.ref)
    if dataset.is_folder:
        files = dataset.manifest["shards"]
        listed = [{"file": one["file"], "bytes": human(one["bytes"], "B")} for one in files]
        show(listed, format, title="files")
    else:
        show(schema, format, title="columns")
    show(_config_lines(build.get("config", {})), format, title="config")
    if not dataset.is_folder:
        show(drops, format, ["state", "op", "reason", "rows", "share"], title="funnel")
    if tokens := goodput(build):
        show(tokens, format, title="what became of the tokens written")


def _config_lines(config: dict[str, Any]) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = []
    for key, value in config.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            lines += [{"key": f"{key}.{i}", "value": item} for i, item in enumerate(value)]
        else:
            lines.append({"key": key, "value": value})
    return lines


@app.command()
def lineage(
    name: NameArgument,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Trace a version back through every step to the files that were read.

    Example: `gristmill lineage web/final`
    """
    from gristmill.lineage import lineage as steps_of

    steps = steps_of(existing_store(store)[name])
    if format is Format.json:
        show([step.as_dict() for step in steps], format)
        return
    rows = [
        {
            "step": step.ref,
            "use": step.use,
            "from": " ".join([*step.parents, *(str(f["pattern"]) for f in step.files)]),
            "rows": "gone" if step.rows is None else step.rows,
            "took": "" if step.seconds is None else clock(step.seconds),
            "created_at": step.created_at[:19],
        }
        for step in steps
    ]
    show(rows, format, ["step", "use", "from", "rows", "took", "created_at"])


@app.command()
def tag(
    name: NameArgument,
    tag: Annotated[str, typer.Argument(help="A name for this version, e.g. `paper`.")],
    remove: Annotated[bool, typer.Option("--remove", help="Forget the tag.")] = False,
    store: StoreOption = "store",
) -> None:
    """Name a version: `NAME@TAG` works everywhere, and `gc` leaves it alone.

    Examples: `gristmill tag web/final@1f2e3d paper`, `gristmill tag web/final paper --remove`
    """
    place = existing_store(store)
    if remove:
        place.untag(name.partition("@")[0], tag)
        return
    dataset = place[name]
    place.tag(dataset.name, dataset.version, tag)
    print(f"{dataset.name}@{tag} is {dataset.version}")
