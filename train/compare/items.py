"""Values of items behind the scores of evaluations: what a paired comparison is made of.

In: an evaluation and one of its metrics. Out: parts of items whose sums give the score.
Shown by: `use: compare` over one seed. Limit: distinct_n, ties, tokens and truncated have none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from gristmill.store import Dataset
from train.compare.statistics import Metric
from train.evaluate.answers import PASSED, pass_at_k
from train.evaluate.results import ALL

OF_NATS = {"loss": "tokens", "perplexity": "tokens", "bits_per_byte": "bytes"}
_COLUMNS = ["model", "task", "metric", "source", "item", "score", "prompt", "tokens", "bytes",
            "length", "host"]  # fmt: skip


class Key(NamedTuple):
    """What makes two items the same: the first token's bytes may count for one tokenizer only."""

    item: str
    prompt: str | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """An item's part of a metric, which is sum(over) / sum(under) over all items."""

    over: float
    under: float
    host: str | None


Parts = Mapping[Key, Part]


@dataclass(frozen=True, slots=True)
class Kept:
    """`.samples` of evaluations: each is read once, and each metric's parts are made once."""

    tables: dict[str, pa.Table | None] = field(default_factory=dict)
    made: dict[tuple[str, str, Metric], Parts | None] = field(default_factory=dict)

    def parts(self, dataset: Dataset, model: str, what: Metric, value: float) -> Parts | None:
        """None where the evaluation does not keep what makes up the value."""
        key = dataset.ref, model, what  # the control's are asked for by every arm
        if key not in self.made:
            self.made[key] = self._parts(dataset, model, what, value)
        return self.made[key]

    def _parts(self, dataset: Dataset, model: str, what: Metric, value: float) -> Parts | None:
        table = self._samples(dataset)
        if table is None:
            return None
        named = "nats" if what.metric in OF_NATS else what.metric
        named = "score" if what.metric.startswith("pass@") else named
        wanted = {"model": model, "task": what.task, "metric": named}
        if what.source != ALL:
            wanted["source"] = what.source
        here = [pc.equal(table[name], text) for name, text in wanted.items()]
        if what.length is not None:
            here.append(pc.equal(table["length"], what.length))
        for mask in here[1:]:
            here[0] = pc.and_kleene(here[0], mask)
        groups: dict[Key, list[dict[str, Any]]] = {}
        for row in table.filter(here[0]).to_pylist():
            groups.setdefault(Key(row["item"], row["prompt"], row["bytes"]), []).append(row)
        found = {key: _part(what.metric, rows) for key, rows in groups.items()}
        under = sum(part.under for part in found.values())
        if not under:
            return None
        ratio = sum(part.over for part in found.values()) / under
        again = math.exp(min(ratio, 700)) if what.metric == "perplexity" else ratio
        return found if math.isclose(again, value, rel_tol=1e-6, abs_tol=1e-9) else None

    def _samples(self, dataset: Dataset) -> pa.Table | None:
        if dataset.ref not in self.tables:
            self.tables[dataset.ref] = None
            if f"{dataset.build()['name']}.samples" in dataset.build()["outputs"]:
                samples = dataset.output(".samples")
                if set(_COLUMNS) <= set(samples.schema.names):
                    self.tables[dataset.ref] = samples.to_table(_COLUMNS)
        return self.tables[dataset.ref]


def _part(metric: str, rows: Sequence[Mapping[str, Any]]) -> Part:
    """Of the rows of one item, its samples."""
    scores, host = [float(row["score"]) for row in rows], rows[0]["host"]
    if metric in OF_NATS:
        scale = math.log(2) if metric == "bits_per_byte" else 1.0
        under = sum(row[OF_NATS[metric]] or 0 for row in rows)
        return Part(sum(scores) / scale, float(under), host)
    if metric.startswith("pass@"):
        k = int(metric.removeprefix("pass@"))
        passed = sum(score >= PASSED for score in scores)
        return Part(pass_at_k(max(k, len(scores)), passed, k), 1.0, host)  # too long: one row, of 0
    return Part(sum(scores) / len(scores), 1.0, host)
