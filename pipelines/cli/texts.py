"""The text of a record, wherever it went: for `gristmill why --text`.

In: a story. Out: the text as the step that decided saw it.
Shown by: `gristmill why web/final URL --text`.
Limit: what a `curate` step dropped is read again from its input, which must still be there.
"""

from __future__ import annotations

from typing import Any

from gristmill.lineage import LOST
from gristmill.query import connect, literal, source
from gristmill.store import Dataset, Store
from gristmill.why import Event, Story

_TEXTS = [("text",), ("messages",), ("prompt", "chosen", "rejected"), ("prompt", "answer")]


def text_of_story(store: Store, ref: str, story: Story) -> str | None:
    """The text that is in the dataset, else the one that the step which dropped it was given."""
    if story.rows:
        return _stored(store[ref], story.id)
    event = next((e for e in reversed(story.events) if e.state in LOST), None)
    if event is None:
        return None
    name, _, version = event.step.partition("@")
    step = Dataset(store, name, version)
    for parent in step.build()["parents"]:
        name, _, version = parent.partition("@")
        if (text := _stored(Dataset(store, name, version), story.id)) is not None:
            return text
    rejected = step.build()["outputs"].get(f"{step.name}.rejected")
    if rejected is not None:
        return _stored(Dataset(store, f"{step.name}.rejected", rejected), story.id)
    return _read_again(step, story, event)


def _stored(dataset: Dataset, id_: str) -> str | None:
    names = set(dataset.schema.names)
    shown = next((columns for columns in _TEXTS if {"id", *columns} <= names), None)
    if shown is None:
        return None
    found = connect(dataset.store).execute(
        f"select {', '.join(shown)} from {source(dataset)} where id = {literal(id_)} limit 1"
    )
    rows = found.fetchall()
    return _joined(dict(zip(shown, rows[0], strict=True))) if rows else None


def _joined(values: dict[str, Any]) -> str:
    """One text of a row: a document's as it is, of other kinds each part under its name."""
    if list(values) == ["text"]:
        return str(values["text"])
    parts = [(name, value) for name, value in values.items() if name != "messages"]
    parts += [(turn["role"], turn["content"]) for turn in values.get("messages") or []]
    return "\n\n".join(f"[{name}]\n{value}" for name, value in parts)


def _read_again(step: Dataset, story: Story, event: Event) -> str:
    from curation.retell import text_of

    file, _, offset = (event.place or "").rpartition(":")
    record = {
        "file": file,
        "offset": int(offset),
        "length": story.length,
        "payload_sha1": story.payload_sha1,
    }
    return text_of(step.build(), record)
