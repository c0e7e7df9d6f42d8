"""Building a mixture: the phases of `use: mixture`, and what is decided between them.

In: the step and its run. Out: phases of tasks. Shown by: `gristmill run` of a mixture.
Limit: a mixture's sources and segments stand in memory; documents and rows do not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gristmill.errors import RecipeError
from gristmill.ids import short
from gristmill.mapped import open_tokens
from gristmill.step import Phase, StepRun, Task
from gristmill.store import Dataset
from mixtures.blend import inject, schedule, tasks
from mixtures.blend.checks import epoch_notes, least_epochs, one_tokenizer, shared_notes
from mixtures.blend.fill import Filling, entry_documents, fill_injected, fill_sources
from mixtures.blend.order import SCATTERED, WARNING
from mixtures.blend.report import bare_notes, drift_notes, missing_notes, report_table
from mixtures.blend.resolve import Found, Source, found_sources, source_weights, stored_weights
from mixtures.blend.segments import Segment, segments
from mixtures.blend.sources import SCATTERS, OrderSpec
from mixtures.blend.token_ledger import ledger_table
from mixtures.plan.spec_json import plan_json
from mixtures.tokens.tokenizers import load_tokenizer

if TYPE_CHECKING:
    from mixtures.blend.step import Mixture


MOST_NOTES = 5  # of one kind
TASK_TOKENS = 1 << 28  # small sources share a task and a shard


class Mixing:
    """One run of the step: its phases, in order, and what they have found so far."""

    def __init__(self, step: Mixture, run: StepRun) -> None:
        self.step, self.run = step, run
        self.store = str(run.store.path)
        self.budget = schedule.budget_tokens(step.budget)
        self.spans = step.spans(self.budget)
        self.sources: list[Source] = []
        self.segments: list[Segment] = []
        self.insertions: list[inject.Insertion] = []

    def select(self) -> Phase:
        """Which documents belong to each source, and how many tokens they have."""
        made = []
        for n, (name, spec) in enumerate(self.step.sources.items()):
            order = self.step.order_of(spec)
            args: dict[str, Any] = {"where": spec.where, "by": spec.by}
            if isinstance(order, OrderSpec):
                args |= {"order_by": order.by, "descending": order.descending}
                self._note_order(name, order)
            made.append(self._select_task(f"source-{n:05d}", spec.from_, args))
        for n, entry in enumerate(self.step.inject):
            args = {"where": entry.where, "by": ()}
            made.append(self._select_task(f"inject-{n:05d}", entry.from_, args))
        return Phase("select", made, unit="documents")

    def look(self) -> Phase:
        """Documents that sources share; tokens outside the vocabulary."""
        specs, records = self.step.sources, self.run.records("select")
        found = [
            Found(
                self._dataset(spec.from_).ref,
                record.value["groups"],
                record.path(tasks.SELECTION).exists(),
            )
            for spec, record in zip(specs.values(), records, strict=False)
        ]
        self.sources = found_sources(specs, found)
        refs = [s.from_ for s in specs.values()] + [entry.from_ for entry in self.step.inject]
        datasets = list(dict.fromkeys(map(self._dataset, refs)))
        self.tokenizer = one_tokenizer(datasets)
        self.loaded = load_tokenizer(self.tokenizer)
        made = []
        declared = [(n, self._dataset(spec.from_).ref, spec.where) for n, spec in specs.items()]
        if len(declared) > 1:
            args: dict[str, Any] = {"store": self.store, "declared": declared}
            made.append(Task("shared", tasks.look_for_shared, args))
        for n, dataset in enumerate(datasets):
            if dataset.build()["use"] != "tokenize":  # whose tokens come from the tokenizer itself
                size = self.loaded.vocab_size
                args = {"store": self.store, "ref": dataset.ref, "vocab_size": size}
                made.append(Task(f"tokens-{n:05d}", tasks.look_at_tokens, args))
        return Phase("look", made, unit="checks")

    def resolve(self) -> None:
        """The schedule as segments with rows for each source."""
        for record in self.run.records("look"):
            self._note(shared_notes(record.value.get("shared", [])))
        choices = self.step.choices()
        weights = []
        for n, choice in enumerate(choices):
            key = "weights" if len(choices) == 1 else f"weights of stage {n}"
            spent = sum(span.tokens for span in self.spans if span.stage == n)
            stored = stored_weights(choice, self.run.inputs)
            weights.append(source_weights(choice, self.sources, spent, stored, key))
        injected: list[int] = []
        if self.step.inject:
            injected = inject.rows_in_spans(self._insert(), self.spans)
            weights = [np.append(w, 0.0) for w in weights]
        self.segments = segments(self.spans, weights, injected)
        epoch_notes(self._names(), self._least_epochs(), self.step.max_epochs)  # may refuse now
        self._note(missing_notes(self._names(), self.segments))

    def walks(self) -> Phase | None:
        """Sources in the order of neighbours."""
        made = []
        for n, source in enumerate(self.sources):
            if self._order(source) == "in_context":
                args = {
                    "store": self.store,
                    "ref": source.ref,
                    "selection": self._selection(source),
                    "first": source.first,
                    "count": source.documents,
                    "seed": self.step.seed,
                }
                made.append(Task(f"walk-{n:05d}", tasks.walk, args, source.documents))
        return Phase("walk", made, unit="documents") if made else None

    def fill(self) -> Phase:
        """Rows of every source, the injected one last."""
        step = self.step
        common = {"method": step.pack, "window": step.window, "seed": step.seed}
        common |= {"mixture": short(self.run.fingerprint)}
        made = []
        shapes = [
            [(s.counts[n], s.span.seq) for s in self.segments] for n in range(len(self.sources))
        ]
        sizes = [sum(rows * seq for rows, seq in shape) for shape in shapes]
        for part in grouped(sizes, TASK_TOKENS):
            args = {
                "store": self.store,
                "fillings": [self._filling(n) for n in part],
                "segments": [shapes[n] for n in part],
                **common,
            }
            size = sum(sizes[n] for n in part)
            made.append(Task(f"source-{part[0]:05d}", fill_sources, args, max(1, size)))
        if step.inject:
            made.append(self._fill_injected())
        return Phase("fill", made, unit="tokens")

    def conclude(self) -> Phase:
        """Epochs as they came, then plan, report and ledger."""
        records = [one for task in self.run.records("fill") for one in task.value["sources"]]
        ledgers = [record["ledger"] for record in records]
        epochs = [
            sum(e["kept"] + e["split"] + e["dropped"] for e in ledger) / source.tokens
            for source, ledger in zip(self.sources, ledgers, strict=False)
        ]
        self._note(epoch_notes(self._names(), epochs, self.step.max_epochs))
        sources = [*self.sources, *([self._injected_source()] if self.step.inject else [])]
        told = [choice.told for choice in self.step.choices()]
        report = report_table(sources, self.segments, ledgers, told, self.budget)
        self._note(drift_notes(report))
        self._note(bare_notes([source.name for source in sources], records))
        stages = [segment.span.stage for segment in self.segments]
        ledger = ledger_table([source.name for source in sources], ledgers, stages)
        spec = json.dumps(self._spec(sources, records))
        self.run.facts["rows"] = sum(segment.span.rows for segment in self.segments)
        self.run.facts["tokens"] = sum(record["tokens"] for record in records)
        args = {"spec": spec, "report": report, "ledger": ledger}
        return Phase("conclude", [Task("plan", tasks.conclude, args)], unit="files")

    def _select_task(self, task: str, ref: str, args: dict[str, Any]) -> Task:
        dataset = self._dataset(ref)
        args = {"store": self.store, "ref": dataset.ref, **args}
        return Task(task, tasks.select_documents, args, max(1, dataset.rows))

    def _dataset(self, ref: str) -> Dataset:
        return self.run.inputs[ref]

    def _names(self) -> list[str]:
        return [source.name for source in self.sources]

    def _note(self, messages: Sequence[str]) -> None:
        for message in messages[:MOST_NOTES]:
            self.run.note(message)
        if (more := len(messages) - MOST_NOTES) > 0:
            self.run.note(f"… and {more:,} more of these: see {self.run.name}.report")

    def _note_order(self, name: str, order: OrderSpec) -> None:
        if order.needs_warning:
            self.run.note(f"source {name!r} " + WARNING.format(column=order.by))
        if self.step.pack in SCATTERS:
            about = {"pack": self.step.pack, "window": self.step.window, "column": order.by}
            self.run.note(f"source {name!r}: " + SCATTERED.format(**about))

    def _order(self, source: Source) -> Any:
        return self.step.order_of(self.step.sources[source.declared])

    def _selection(self, source: Source) -> Path | None:
        if not source.selected:
            return None
        place = list(self.step.sources).index(source.declared)
        return self.run.records("select")[place].path(tasks.SELECTION)

    def _filling(self, n: int) -> Filling:
        source = self.sources[n]
        order, selection, first = self._order(source), self._selection(source), source.first
        if order == "in_context":
            records = {record.id: record for record in self.run.records("walk")}
            selection, first = records[f"walk-{n:05d}"].path(tasks.WALK), 0
        name, ref, documents = source.name, source.ref, source.documents
        return Filling(n, name, ref, documents, selection, first, order == "shuffle")

    def _least_epochs(self) -> list[float]:
        return [
            sum(
                least_epochs(
                    self.step.pack, s.counts[n], s.span.seq, source.tokens, source.documents
                )
                for s in self.segments
            )
            for n, source in enumerate(self.sources)
        ]

    def _insert(self) -> inject.I64:
        """Places of the injected documents: their rows, sorted."""
        points = inject.insertion_points(self.step.inject, self.budget)
        tokens = open_tokens(self._dataset(self.step.inject[0].from_))
        lengths = []
        for n, part in enumerate(self._injected_parts()):
            lengths.append(tokens.take_counts(entry_documents(*part)))
            if not lengths[-1].sum():
                raise RecipeError(f"inject.{n} chooses no token of {tokens.dataset.ref}")
        self.insertions = inject.place(points, lengths, self.spans)
        return inject.positions_of(self.insertions)

    def _injected_parts(self) -> list[tuple[Path | None, int, int]]:
        """(selection, first, documents) of each entry of `inject`."""
        found: list[tuple[Path | None, int, int]] = []
        for record in self.run.records("select")[len(self.step.sources) :]:
            path = record.path(tasks.SELECTION)
            documents = sum(group["documents"] for group in record.value["groups"])
            found.append((path if path.exists() else None, 0, documents))
        return found

    def _fill_injected(self) -> Task:
        n, dataset = len(self.sources), self._dataset(self.step.inject[0].from_)
        args = {
            "store": self.store,
            "filling": Filling(n, inject.NAME, dataset.ref, 0, None, 0, False),
            "parts": self._injected_parts(),
            "insertions": self.insertions,
            "ends": np.cumsum([span.rows for span in self.spans]).tolist(),
            "seqs": [span.seq for span in self.spans],
            "mixture": short(self.run.fingerprint),
        }
        size = sum(insertion.rows * insertion.seq for insertion in self.insertions)
        return Task(f"source-{n:05d}", fill_injected, args, max(1, size))

    def _injected_source(self) -> Source:
        dataset = self._dataset(self.step.inject[0].from_)
        records = self.run.records("select")[len(self.step.sources) :]
        groups = [group for record in records for group in record.value["groups"]]
        documents, tokens = (sum(group[key] for group in groups) for key in ("documents", "tokens"))
        return Source(inject.NAME, inject.NAME, dataset.ref, documents, tokens, replay=0.0)

    def _spec(
        self, sources: Sequence[Source], records: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        return plan_json(
            name=self.run.name,
            seed=self.step.seed,
            tokenizer=(self.tokenizer.ref, self.loaded.vocab_size, self.loaded.padding),
            attention=self.step.attention,
            sources=sources,
            records=records,
            segments=self.segments,
            injected=inject.positions_of(self.insertions) if self.step.inject else None,
        )


def grouped(sizes: Sequence[int], limit: int) -> list[range]:
    """Neighbours together until they reach the limit."""
    found, first, total = [], 0, 0
    for n, size in enumerate(sizes):
        total += size
        if total >= limit or n == len(sizes) - 1:
            found.append(range(first, n + 1))
            first, total = n + 1, 0
    return found
