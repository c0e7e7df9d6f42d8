"""Parents: of rows that models wrote, what they were written from and by whom.

In: the steps of a lineage and ids. Out: one event a generated row, and the ids of its parents.
Shown by: `gristmill why synth/qa ID`. Limit: rows made by other tools have no such columns.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gristmill.lineage import Made, at
from gristmill.query import connect, literal, source
from gristmill.store import Dataset

COLUMNS = {"id", "parents", "made"}


@dataclass(frozen=True, slots=True)
class Written:
    """A generated row: the step that wrote it, its parents, its completions, and its scores."""

    step: str
    use: str
    parents: list[str]
    made: list[dict[str, Any]]
    columns: dict[str, Any]  # short values kept beside the text


def written(near: Dataset, steps: Sequence[Made], ids: Sequence[str]) -> dict[str, Written]:
    """Generated rows among `ids`, by the first step of the lineage that has them."""
    found: dict[str, Written] = {}
    for made in steps:
        dataset = at(near, made.ref)
        if not (dataset.path / ".manifest.json").exists():
            continue
        names = {name for name, _ in dataset.manifest["schema"]}
        missing = [id_ for id_ in ids if id_ not in found]
        if not names >= COLUMNS or not missing:
            continue
        wanted = ", ".join(map(literal, missing))
        cursor = connect(dataset.store).execute(
            f"select * from {source(dataset)} where id in ({wanted})"
        )
        columns = [column[0] for column in cursor.description or []]
        for values in cursor.fetchall():
            row = dict(zip(columns, values, strict=True))
            told = {k: v for k, v in row.items() if k not in COLUMNS and _short(v)}
            found[row["id"]] = Written(
                made.ref, made.use, list(row["parents"] or []), list(row["made"] or []), told
            )
    return found


def completion(made: dict[str, Any]) -> str:
    """One completion in words: the stage, the model, its parameters, the seed, and how it ended."""
    params = json.loads(made["params"] or "{}")
    shown = [f"{name} {params[name]}" for name in ("temperature", "top_p") if name in params]
    shown += [f"prompt {made['template']}"] if made["template"] else []
    shown += [f"seed {made['seed']}"] if made["seed"] else []
    tokens = f"{made['prompt_tokens']} tokens in, {made['completion_tokens']} out"
    return (
        f"{made['stage']} by {made['model']}@{str(made['revision'])[:12]} ({', '.join(shown)}): "
        f"{tokens}, {made['finish_reason']}; request {made['key'][:12]}"
    )


def _short(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (isinstance(value, str) and len(value) <= 80)
