"""Held-out loss over a mixture, tokens, or documents.

In: a task's data and a model. Out: nats a token, perplexity, bits per byte, by source.
Shown by: `use: evaluate, tasks: [{loss: web/valid}]`.
Limit: bytes of a mixture's tokens are known for byte-level and SentencePiece vocabularies.

Loss is a sum of nats over a sum of tokens; bits per byte is the same sum over ln 2 times the bytes
that those tokens spell, which no tokenizer changes. An interval takes a row, or a document, for one
observation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gristmill.errors import RecipeError
from gristmill.query import quoted
from mixtures.plan import Plan, open_plan
from mixtures.tokens.tokenizers import from_files, load_tokenizer, tokenizer_files
from train.evaluate.answers import scored
from train.evaluate.intervals import Estimate, ratio
from train.evaluate.likelihood import room
from train.evaluate.results import ALL, ITEM_HOST, Item, Measured, Score, item_host
from train.evaluate.token_bytes import token_bytes
from train.losses.cross_entropy import token_nats

if TYPE_CHECKING:
    from train.evaluate.bench import Bench
    from train.evaluate.tasks.loss import LossTask

LN2 = math.log(2)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a row, or a document, cost the model."""

    id: str
    source: str
    nats: float
    tokens: int
    bytes: int | None
    host: str | None = None  # of documents with a `url`


def summary(costs: Sequence[Cost]) -> Measured:
    """Scores by source and of all."""
    found = Measured()
    counted = [cost for cost in costs if cost.tokens]
    if not counted:
        raise RecipeError("no token to measure: every document has one token or none")
    sources = sorted({cost.source for cost in counted})
    for source in [ALL, *(sources if len(sources) > 1 else ())]:  # one alone is all
        found.scores += _scores([c for c in counted if source in (ALL, c.source)], source)
    found.items = [
        Item(c.id, c.nats, "nats", c.source, tokens=c.tokens, bytes=c.bytes, host=c.host)
        for c in counted
    ]
    if len(costs) > len(counted):
        found.notes.append(f"{len(costs) - len(counted)} of {len(costs)} have no token to predict")
    return found


def _scores(costs: Sequence[Cost], source: str) -> list[Score]:
    nats = [cost.nats for cost in costs]
    loss = ratio(nats, [cost.tokens for cost in costs])
    ends = [None if end is None else math.exp(min(end, 700)) for end in (loss.low, loss.high)]
    plex = math.exp(min(loss.value, 700))
    error = None if loss.stderr is None else plex * loss.stderr
    out = [
        scored("loss", loss, "lower", source),
        scored("perplexity", Estimate(plex, loss.n, error, *ends), "lower", source),
    ]
    sizes = [cost.bytes for cost in costs if cost.bytes is not None]
    if len(sizes) == len(costs) and any(sizes):
        bits = ratio([one / LN2 for one in nats], sizes)
        out.append(scored("bits_per_byte", bits, "lower", source))
    return out


def of_plan(task: LossTask, bench: Bench) -> Measured:
    """Rows of a mixture, as training reads them: documents of a row do not see each other."""
    plan = open_plan(bench.store, bench.inputs[task.data])
    loaded = load_tokenizer(bench.store[plan.spec.tokenizer])
    same_tokenizer(bench, bench.store[plan.spec.tokenizer].ref, loaded.tokenizer)
    sizes = token_bytes(loaded.tokenizer)
    costs: list[Cost] = []
    for batch in _plan_batches(plan, task.rows, room(bench.model, bench.machine.batch_tokens)):
        costs += _plan_costs(plan, bench.model, batch, sizes)
        bench.say(f"{len(costs):,} rows")
    return summary(costs)


def _plan_batches(plan: Plan, most: int | None, tokens: int) -> Iterator[dict[str, Any]]:
    end = len(plan) if most is None else min(most, len(plan))
    for segment in plan.segments:
        size = max(1, tokens // segment.seq)
        for first in range(segment.start, min(segment.stop, end), size):
            yield plan.rows(range(first, min(first + size, segment.stop, end)))


def _plan_costs(plan: Plan, model: Any, batch: dict[str, Any], sizes: Any) -> list[Cost]:
    ids, labels, positions = (
        torch.from_numpy(batch[name]).to(model.device)
        for name in ("input_ids", "labels", "position_ids")
    )
    with torch.no_grad():
        logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
        nats = token_nats(logits, labels).double().sum(-1).tolist()
    ahead = batch["labels"][:, 1:]
    counted = ahead >= 0
    bytes_ = None if sizes is None else (sizes[np.where(counted, ahead, 0)] * counted).sum(-1)
    return [
        Cost(
            f"row {row}",
            plan.spec.sources[source].name,
            nats[place],
            int(counted[place].sum()),
            None if bytes_ is None else int(bytes_[place]),
        )
        for place, (row, source) in enumerate(zip(batch["row"], batch["source"], strict=True))
    ]


def of_tokens(task: LossTask, bench: Bench) -> Measured:
    """Documents of a token dataset; those tokens that its mask leaves out are not counted."""
    dataset = bench.dataset(task.data)
    tokenizer = dataset.output(".tokenizer")
    loaded = from_files(tokenizer_files(tokenizer), tokenizer.ref)
    same_tokenizer(bench, tokenizer.ref, loaded.tokenizer)
    sizes = token_bytes(loaded.tokenizer)
    rows = _selected(task, bench)
    ids = [np.frombuffer(row["tokens"], loaded.dtype).astype(np.int64) for row in rows]
    masks = [
        np.frombuffer(row["loss_mask"], np.uint8) if row.get("loss_mask") is not None else None
        for row in rows
    ]
    nats = windows(bench, [one.tolist() for one in ids], task.length, task.stride)
    costs = []
    for row, tokens, mask, found in zip(rows, ids, masks, nats, strict=True):
        counted = np.ones(len(found), bool) if mask is None else mask[1:] > 0
        size = None if sizes is None else int(sizes[tokens[1:]][counted].sum())
        costs.append(
            Cost(row["id"], _source(row, task.by), float(found[counted].sum()),
                 int(counted.sum()), size, row.get(ITEM_HOST))
        )  # fmt: skip
    return summary(costs)


def of_documents(task: LossTask, bench: Bench) -> Measured:
    """Texts, tokenised with the model's own tokenizer."""
    backend = bench.rendering.tokenizer.backend_tokenizer
    start = _start(task, bench)
    rows = _selected(task, bench)
    texts = [row["text"] or "" for row in rows]
    encoded = backend.encode_batch(texts, add_special_tokens=False)
    nats = windows(bench, [start + one.ids for one in encoded], task.length, task.stride)
    costs = []
    for row, text, one, found in zip(rows, texts, encoded, nats, strict=True):
        counted = found[len(start) - 1 :] if start else found
        size = len(text.encode())
        if not start and len(one.ids) > 1:
            size -= len(text[: one.offsets[1][0]].encode())
        costs.append(
            Cost(row["id"], _source(row, task.by), float(counted.sum()), len(counted), size,
                 row.get(ITEM_HOST))
        )  # fmt: skip
    return summary(costs)


def windows(
    bench: Bench, rows: Sequence[Sequence[int]], length: int | None, stride: int | None
) -> list[Any]:
    """Nats of tokens 1, 2, … of each row; of long rows in windows, no token counted twice."""
    size = min(length or bench.longest, bench.longest)
    step = min(stride or size - 1, size - 1)
    parts: list[tuple[int, int, int]] = []  # row, where it begins, first token that counts
    for number, row in enumerate(rows):
        parts.append((number, 0, 1))
        end = size
        while end < len(row):
            begin = end + step - size
            parts.append((number, begin, end))
            end += step
    judged = bench.judge([rows[number][begin : begin + size] for number, begin, _ in parts])
    found = [np.zeros(max(0, len(row) - 1)) for row in rows]
    for (number, begin, first), one in zip(parts, judged, strict=True):
        new = one.nats[first - begin - 1 :]
        found[number][first - 1 : first - 1 + len(new)] = new
    return found


def same_tokenizer(bench: Bench, ref: str, tokenizer: Any) -> None:
    """Raise RecipeError where the model was trained on other tokens than these."""
    own = bench.rendering.tokenizer.backend_tokenizer
    if own.get_vocab(with_added_tokens=True) != tokenizer.get_vocab(with_added_tokens=True):
        raise RecipeError(
            f"the data is tokenised with {ref}, model {bench.name!r} reads another vocabulary; "
            "name the documents instead (`loss: web/valid`): they are tokenised for each model"
        )


def _start(task: LossTask, bench: Bench) -> list[int]:
    if task.start == "none":
        return []
    if task.start == "auto":
        return list(bench.rendering.start_ids)
    found = bench.rendering.tokenizer.eos_token_id
    if found is None:
        raise RecipeError(f"start is 'eos': the tokenizer of {bench.name!r} has no EOS")
    return [int(found)]


def _selected(task: LossTask, bench: Bench) -> list[dict[str, Any]]:
    dataset = bench.dataset(task.data)
    names = [n for n in ("id", "text", "tokens", "loss_mask", task.by) if n in dataset.schema.names]
    columns = [*map(quoted, dict.fromkeys(names)), *item_host(dataset)]
    text = f"select {', '.join(columns)} from this"
    table = dataset.sql(text + (f" where {task.where}" if task.where else "")).to_arrow_table()
    rows: list[dict[str, Any]] = table.slice(0, task.rows).to_pylist()
    return rows


def _source(row: dict[str, Any], by: str) -> str:
    return str(row.get(by) or ALL)
