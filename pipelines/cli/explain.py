"""`why`, `funnel`, `sweep`: what became of one record, of all of them, and what might have.

In: a dataset, and a record's id or URL. Out: its story, step by step.
Shown by: `gristmill why web/final https://example.org/`. Limit: only steps with a ledger tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from gristmill.errors import GristmillError
from gristmill.lineage import LOST
from gristmill.store import Store
from pipelines.cli.options import (
    FormatOption,
    NameArgument,
    SetOption,
    StoreOption,
    app,
    existing_store,
)
from pipelines.cli.output import Format, clean, show, show_object, text

if TYPE_CHECKING:
    from gristmill.why import Story


@app.command()
def why(
    name: NameArgument,
    key: Annotated[
        str, typer.Argument(help="An id, its first digits, a URL or part of one, or FILE:OFFSET.")
    ],
    signals: Annotated[bool, typer.Option("--signals", help="Every signal too.")] = False,
    with_text: Annotated[
        bool, typer.Option("--text", help="The text too; what was dropped is read again.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many records.")] = 20,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Tell why a record is in a dataset or not: what each step said of it, with the numbers.

    Examples: `gristmill why web/final https://example.org/page`,
    `gristmill why web/final 5f3a9c --signals`, `gristmill why web/final 5f3a9c --text`
    """
    from gristmill.why import why as stories_of

    place = existing_store(store)
    stories = stories_of(place, name, key, limit)
    _show_in_mixture(place, name, stories)
    texts = [_text(place, name, story) if with_text else "" for story in stories]
    if format is Format.json:
        more = [{"text": told} if with_text else {} for told in texts]
        show([{**s.as_dict(), **m} for s, m in zip(stories, more, strict=True)], format)
    elif format is Format.csv:
        show(
            [
                {"id": story.id, "url": story.url, "outcome": story.outcome, **_event(event)}
                for story in stories
                for event in story.as_dict()["events"]
            ],
            format,
        )
    else:
        for story, told in zip(stories, texts, strict=True):
            _tell(story.as_dict(), signals)
            if with_text:
                print(clean(told) + "\n")


def _show_in_mixture(store: Store, name: str, stories: list[Story]) -> None:
    """Say of each record where a mixture shows it; other datasets are left alone."""
    dataset = store[name]
    if dataset.manifest["kind"] != "packed":
        return
    from mixtures.plan.seen import seen

    found = seen(store, name, [story.id for story in stories])
    for story in stories:
        if entries := found[story.id]:
            told = (
                f"{e.source}, epoch {e.epoch}: {e.tokens:,} tokens in {e.rows} rows"
                for e in entries
            )
            story.outcome = f"in {dataset.ref}: {'; '.join(told)}"
        elif not any(event.state in LOST for event in story.events):
            story.outcome = (
                f"in no row of {dataset.ref}: its budget ended before, or it was too long"
            )


def _text(store: Store, name: str, story: Story) -> str:
    from pipelines.cli.texts import text_of_story

    try:
        return text_of_story(store, name, story) or ""
    except GristmillError as error:
        return f"(no text: {error})"


def _event(event: dict[str, Any]) -> dict[str, Any]:
    return {key: event[key] for key in ("step", "use", "state", "op", "reason", "rules", "details")}


def _tell(story: dict[str, Any], signals: bool) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)
    console.print(Text(text(story["url"]) or "(no URL)", style="bold"))
    console.print(Text(f"  id {story['id']}"))
    if story["file"] is not None:
        length = f", {story['length']:,} bytes" if story["length"] is not None else ""
        console.print(Text(f"  from {text(story['file'])}:{story['offset']}{length}"))
    colours = {"kept": "green", "written": "green", **dict.fromkeys(LOST, "red")}
    several = len({event["place"] for event in story["events"]}) > 1
    for event in story["events"]:
        line = Text(f"  {event['step']} ({event['use']}): ")
        line.append(event["state"], colours.get(event["state"], "yellow"))
        if event["op"]:
            line.append(f" by {event['op']}: {event['reason']}")
        if several and event["place"]:
            line.append(f"  [{event['place']}]")
        console.print(line)
        for told in [*map(_rule, event["rules"]), *_details(event)]:
            console.print(Text(f"    {told}"))
        for key, value in event["signals"].items() if signals else []:
            console.print(Text(f"    {key} = {text(value)}"))
    console.print(Text(f"  → {story['outcome']}", style="bold"))
    console.print()


def _details(event: dict[str, Any]) -> list[str]:
    """What a step's own columns say: in words for duplicates and benchmark items."""
    left = dict(event["details"])
    for choice in (rule["rule"].partition(".")[0] for rule in event["rules"] if "allowed" in rule):
        left.pop(choice, None)  # its rule told
    lines = []
    if partner := left.pop("partner_id", None):
        told = {key: left.pop(f"partner_{key}", None) for key in ("url", "dataset")}
        place = f" in {told['dataset']}" if told["dataset"] else ""
        lines.append(f"kept in its place{place}: {text(told['url']) or '(no URL)'} (id {partner})")
        how = f" ({left.pop('similarity_is')})" if "similarity_is" in left else ""
        lines.append(f"similarity: {text(left.pop('similarity', None))}{how}")
    if event["state"] != "kept" and "benchmark" in left:
        item, number = left.pop("item_id", None), left.pop("item", None)
        lines.append(f"benchmark {text(left.pop('benchmark'))}, item {text(item or number)}")
        start, end = left.pop("start", None), left.pop("end", None)
        if ngram := left.pop("ngram", None):
            lines.append(f"at characters {text(start)} to {text(end)}: “{text(ngram)}”")
    from gristmill.parents import completion

    lines += [f"from {parent}" for parent in left.pop("parents", None) or []]
    lines += [completion(made) for made in left.pop("made", None) or []]
    if left:
        lines.append(", ".join(f"{key}: {text(value)}" for key, value in left.items()))
    return lines


def _rule(rule: dict[str, Any]) -> str:
    line = str(rule["rule"])
    if "allowed" in rule:
        score = f" ({rule['value']:.6g})" if rule["value"] is not None else ""
        return f"{line}: {rule['found'] or 'none'}{score}, kept: {', '.join(rule['allowed'])}"
    if rule["value"] is not None:
        line += f": {rule['value']:.6g}"
    if rule["threshold"] is not None:
        line += f", threshold {rule['threshold']:.6g}"
    return line


@app.command()
def funnel(
    name: NameArgument,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Count what every step let through and what it dropped, by rule, from the first step on.

    Example: `gristmill funnel web/final`
    """
    from gristmill.lineage import funnel as rows_of

    columns = ["step", "state", "op", "reason", "rows", "share"]
    show(rows_of(existing_store(store)[name]), format, columns)


@app.command()
def sweep(
    name: NameArgument,
    set: SetOption = None,
    store: StoreOption = "store",
    format: FormatOption = Format.table,
) -> None:
    """Say what other thresholds would change, from the ledger; no text is read, nothing is made.

    Examples: `gristmill sweep web/clean --set gopher_quality.min_words=30`,
    `gristmill sweep web/clean --set gopher_quality.min_stop_words=null`
    """
    from curation.sweep import sweep as foretell
    from pipelines.recipe import parse_set

    if not set:
        raise GristmillError(
            "sweep needs --set RULE_SET.RULE=VALUE, e.g. gopher_quality.min_words=30"
        )
    found = foretell(existing_store(store)[name], parse_set(set)).as_dict()
    if format is Format.json:
        show_object(found, format)
        return
    rules = found.pop("rules")
    if format is Format.csv:
        show(rules, format)
        return
    examples, unanswered = found.pop("examples"), found.pop("unanswered")
    show_object(found, format)
    changed = [
        row
        for row in rules
        if row["failed"] != row["would_fail"] or row["threshold"] != row["new_threshold"]
    ]
    show(changed or rules[:1], format, title="rules")
    if examples:
        show(examples, format, title="examples")
    if unanswered:
        print(
            f"{found['undecided']:,} rows would pass, but then meet ops that never saw them: "
            f"{', '.join(unanswered)}. Run the step with `evaluate: all` to have them decided."
        )
