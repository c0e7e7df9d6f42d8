"""Apply a recipe and an action to a batch of documents: rows out, and a ledger row for each row in.

In: a table of documents, an index over benchmark items. Out: two tables; totals are added to.
Shown by: `gristmill why web/final URL`.
Limit: columns derived from the text, other than text_digest, stay as they were when it is cut.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.decontam.cut import Cut, cut_text
from gristmill.decontam.match import Bools, Floats, Ints, Matches, Totals, scan
from gristmill.decontam.recipes import DecontaminationRecipe
from gristmill.ids import text_digests
from gristmill.schema import KINDS, RULE
from gristmill.text.buffers import string_buffers
from gristmill.text.ngrams import Hits, NgramIndex

Action = Literal["drop", "cut", "flag"]
STEP_OP = "decontaminate"
FOUND = pa.schema(
    [
        ("benchmark", pa.string()),  # the item with the highest coverage, matched or not
        ("item", pa.int64()),
        ("item_id", pa.string()),
        ("coverage", pa.float64()),  # fraction of the words of its n-grams in shared ones
        ("items", pa.int64()),  # how many items match
        ("ngrams", pa.int64()),  # distinct n-grams shared with any item
        ("ngram", pa.string()),  # the first one shared with that item, as the document has it
        ("start", pa.int64()),  # its place: characters from the start of the text
        ("end", pa.int64()),
        ("cuts", pa.int64()),  # action cut: stretches removed
    ]
)
LEDGER = pa.schema([*KINDS["ledger"].required, *FOUND])
FLAGS = pa.schema(
    [
        ("contaminated", pa.bool_()),
        ("contaminated_by", pa.string()),
        ("contaminated_item", pa.string()),
        ("contamination", pa.float64()),
    ]
)
_NAME_BYTES = 1000  # of an n-gram's text in the ledger


@dataclass(frozen=True)
class Decontaminator:
    """What lives as long as a worker; `index` None: there is nothing to compare with."""

    recipe: DecontaminationRecipe
    action: Action
    items: pa.Table
    index: NgramIndex | None
    thresholds: Floats
    exempt: Bools | None = None
    cut_options: tuple[int, int, int] = (200, 200, 10)  # window, min_fragment, max_cuts

    def rows_schema(self, documents: pa.Schema) -> pa.Schema:
        """The schema of the rows that come out."""
        documents = documents.remove_metadata()
        return pa.schema([*documents, *FLAGS]) if self.action == "flag" else documents

    def apply(self, table: pa.Table, totals: Totals) -> tuple[pa.Table, pa.Table]:
        """(rows out, ledger): the ledger has one row for each row of `table`, in order."""
        texts = table["text"].combine_chunks()
        if self.index is None:
            matches, hits = _no_matches(), None
        else:
            matches, hits = scan(
                texts, self.index, self.recipe, self.thresholds, totals, self.exempt
            )
        found = self._found(texts, matches)
        state = np.full(len(table), "kept", object)
        hit = matches.text[matches.matched]
        cuts: dict[int, Cut] = {}
        if self.action == "cut" and hits is not None:
            cuts = self._cuts(texts, hit, hits)
            edited = [row for row, cut in cuts.items() if cut.text is not None]
            state[hit], state[edited] = "dropped", "edited"
            table = _with_texts(table, {row: cuts[row].text or b"" for row in edited})
        else:
            state[hit] = "dropped" if self.action == "drop" else "flagged"
        found["cuts"] = [cuts[row].cuts if row in cuts else None for row in matches.text.tolist()]
        where = np.full(len(table), -1, np.int64)
        where[matches.text] = np.arange(len(matches.text))
        rows = pa.array(where, mask=where < 0)
        columns = {name: pa.array(found[name], FOUND.field(name).type) for name in FOUND.names}
        columns = {name: column.take(rows) for name, column in columns.items()}
        ledger = self._ledger(table, state, matches, cuts, columns)
        if self.action == "flag":
            flagged = pa.array(state == "flagged")
            nothing = pa.nulls(len(table))
            for name, source in zip(
                FLAGS.names[1:], ("benchmark", "item_id", "coverage"), strict=True
            ):
                kind = FLAGS.field(name).type
                value = pc.if_else(flagged, columns[source], nothing.cast(kind))
                columns[name] = value
            table = table.append_column(FLAGS.field(0), flagged)
            for name in FLAGS.names[1:]:
                table = table.append_column(FLAGS.field(name), columns[name])
        return table.filter(pa.array(state != "dropped")), ledger

    def _found(self, texts: pa.Array, matches: Matches) -> dict[str, Any]:
        """FOUND but `cuts`, one value a match."""
        names = self.items.take(pa.array(matches.item))
        data, offsets = string_buffers(texts)
        ngrams, starts, ends = [], [], []
        for text, start, end in zip(
            matches.text.tolist(), matches.start.tolist(), matches.end.tolist(), strict=True
        ):
            raw = data[offsets[text] : offsets[text + 1]]
            starts.append(_characters(raw[:start]))
            ends.append(starts[-1] + _characters(raw[start:end]))
            shown = raw[start : min(end, start + _NAME_BYTES)].tobytes()
            ngrams.append(shown.decode("utf-8", "ignore"))
        return {
            **{name: names[name].combine_chunks() for name in ("benchmark", "item", "item_id")},
            "coverage": matches.value,
            "items": matches.items,
            "ngrams": matches.ngrams,
            "ngram": ngrams,
            "start": starts,
            "end": ends,
        }

    def _cuts(self, texts: pa.Array, rows: Ints, hits: Hits) -> dict[int, Cut]:
        """Every shared n-gram of a matched document goes, whichever item it belongs to."""
        data, offsets = string_buffers(texts)
        first = np.searchsorted(hits.run_text, rows)
        last = np.searchsorted(hits.run_text, rows, side="right")
        found = {}
        for row, begin, end in zip(rows.tolist(), first.tolist(), last.tolist(), strict=True):
            raw = data[offsets[row] : offsets[row + 1]].tobytes()
            runs = zip(
                hits.run_start[begin:end].tolist(), hits.run_end[begin:end].tolist(), strict=True
            )
            found[row] = cut_text(raw, runs, *self.cut_options)
        return found

    def _ledger(
        self,
        table: pa.Table,
        state: np.ndarray,
        matches: Matches,
        cuts: dict[int, Cut],
        found: dict[str, pa.Array],
    ) -> pa.Table:
        size = len(table)
        touched = state != "kept"
        rules: list[list[dict[str, Any]]] = [[] for _ in range(size)]
        for text, item, value, matched in zip(
            matches.text.tolist(), matches.item.tolist(), matches.value.tolist(),
            matches.matched.tolist(), strict=True,
        ):  # fmt: skip
            if matched:
                rules[text].append(_rule(self.recipe.name, value, float(self.thresholds[item])))
            cut = cuts.get(text)
            if cut is not None and cut.reason:
                limit = self.cut_options[2] if cut.reason == "cuts" else self.cut_options[1]
                value = float(cut.cuts) if cut.reason == "cuts" else None
                rules[text].append(_rule(f"{self.recipe.name}.{cut.reason}", value, float(limit)))
        columns = {
            name: table[name] if name in table.schema.names else pa.nulls(size)
            for name in ("id", "url", "file", "offset", "length", "payload_sha1")
        }
        columns |= {
            "state": pa.array(state, pa.string()),
            "step_op": pa.array([STEP_OP if t else None for t in touched], pa.string()),
            "reason": pa.array([self.recipe.name if t else None for t in touched], pa.string()),
            "rules": pa.array(rules, pa.list_(RULE)),
            **found,
        }
        return pa.table([columns[name] for name in LEDGER.names], LEDGER.names).cast(LEDGER)


def _rule(name: str, value: float | None, threshold: float) -> dict[str, Any]:
    return {"rule": name, "value": value, "threshold": threshold}


def _no_matches() -> Matches:
    empty = np.zeros(0, np.int64)
    return Matches(
        empty, empty, empty.astype(np.float64), empty.astype(np.bool_), empty, empty, empty, empty
    )


def _characters(raw: np.ndarray) -> int:
    """Code points in UTF-8 bytes; a megabyte at a time, so that long texts need no copy."""
    return sum(
        int(np.count_nonzero(raw[at : at + (1 << 20)] & 0xC0 != 0x80))
        for at in range(0, len(raw), 1 << 20)
    )


def _with_texts(table: pa.Table, texts: dict[int, bytes]) -> pa.Table:
    """Replace the text of some rows, and their text_digest where there is one."""
    if not texts:
        return table
    rows = sorted(texts)
    mask = np.zeros(len(table), np.bool_)
    mask[rows] = True
    new = {"text": pa.array([texts[row].decode() for row in rows], pa.string())}
    if "text_digest" in table.schema.names:
        new["text_digest"] = pa.array(text_digests([texts[row] for row in rows]), pa.string())
    for name, values in new.items():
        field = table.schema.field(name)
        column = pc.replace_with_mask(
            table[name].combine_chunks(), pa.array(mask), values.cast(field.type)
        )
        table = table.set_column(table.schema.get_field_index(name), field, column)
    return table
