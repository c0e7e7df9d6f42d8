"""The text of a record, wherever it went: for `gristmill why --text`.

In: a story. Out: the text as the step that decided saw it.
Shown by: `gristmill why web/final URL --text`.
Limit: what a `curate` step dropped is read again from its input, which must still be there.
"""

from __future__ import annotations

from gristmill.query import connect, literal, source
from gristmill.store import Dataset, Store
from gristmill.why import Event, Story


def text_of_story(store: Store, ref: str, story: Story) -> str | None:
    """The text that is in the dataset, else the one that the step which dropped it was given."""
    if story.rows:
        return _stored(store[ref], story.id)
    event = next((e for e in reversed(story.events) if e.state == "dropped"), None)
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
    if not {"id", "text"} <= set(dataset.schema.names):
        return None
    found = connect(dataset.store).execute(
        f"select text from {source(dataset)} where id = {literal(id_)} limit 1"
    )
    rows = found.fetchall()
    return str(rows[0][0]) if rows else None


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
