"""A small mixture for tests: token datasets, random pieces, and what each row must hold."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from gristmill.schema import PACKED, PIECES
from gristmill.step import Output, Phase, Step, StepRun, Task, TaskContext
from gristmill.store import Store
from mixtures.plan import Plan, open_plan
from mixtures.plan.block import arrange, quantise, rows_of, slots_for
from tests.gristmill.test_mapped import MakeTokens
from tests.run_step import InProcess, run_step

SEGMENTS = ((50, 32, 4), (30, 48, 6))  # rows, seq, batch


class MakePlan(Step):
    """Rows of random pieces; `injected` positions take rows of the last source."""

    tokens: list[str]
    segments: tuple[tuple[int, int, int], ...] = SEGMENTS
    weights: tuple[float, ...] = (3, 2, 1)
    injected: tuple[int, ...] = ()
    attention: str = "document"
    vocab_size: int = 60_000
    tokenizer: str = "tokens/a.tokenizer@0123456789ab"
    seed: int = 0

    def inputs(self) -> list[str]:
        return self.tokens

    def outputs(self) -> dict[str, Output]:
        return {"": Output("packed"), ".pieces": Output("pieces"), ".plan": Output("rows")}

    def phases(self, run: StepRun) -> Iterator[Phase]:
        counts = [run.inputs[ref].to_table(["count"])["count"].to_numpy() for ref in self.tokens]
        refs = [run.inputs[ref].ref for ref in self.tokens]
        args = {"step": self, "refs": refs, "counts": counts, "mixture": run.fingerprint[:12]}
        yield Phase("make", [Task("0", _make, args)])


def _make(
    ctx: TaskContext, step: MakePlan, refs: list[str], counts: list[Any], mixture: str
) -> dict[str, Any]:
    draw, k = np.random.default_rng(step.seed), len(refs)
    segments, start = [], 0
    for rows, seq, batch in step.segments:
        here = sum(start <= position < start + rows for position in step.injected)
        weights = np.array(step.weights[:k])
        if step.injected:
            weights[-1] = 0
        block = quantise(weights, slots_for(rows - here))
        dealt = rows_of(arrange(block), rows - here, k)
        dealt[-1] += here
        shape = {"rows": rows, "seq": seq, "batch": batch}
        segments.append({**shape, "block": block.tolist(), "counts": dealt.tolist()})
        start += rows
    packed: list[tuple[int, ...]] = []
    pieces: list[tuple[int, int, int]] = []
    sources = []
    for number, ref in enumerate(refs):
        first, row = len(pieces), len(packed)
        for place, segment in enumerate(segments):
            for _ in range(segment["counts"][number]):
                found = _row(draw, counts[number], segment["seq"])
                begin, size = len(pieces) - first, sum(piece[2] for piece in found)
                packed.append((place, number, place % 2, begin, len(found), size))
                pieces += found
        totals = {"rows": len(packed) - row, "pieces": len(pieces) - first}
        about = {"name": ref.partition("@")[0], "ref": ref, "documents": len(counts[number])}
        sources.append({**about, "tokens": int(counts[number].sum()), **totals})
    spec = {
        "format": 1,
        "name": step.name,
        "seed": step.seed,
        "tokenizer": step.tokenizer,
        "vocab_size": step.vocab_size,
        "pad": 7,
        "attention": step.attention,
        "sources": sources,
        "segments": segments,
        "injected": {"source": k - 1 if step.injected else None, "positions": list(step.injected)},
    }
    _write(ctx, "", PACKED, packed, mixture)
    _write(ctx, ".pieces", PIECES, pieces)
    ctx.writer(".plan", pa.schema([("spec", pa.string())])).write(
        pa.table({"spec": [json.dumps(spec)]})
    )
    return {}


def _row(draw: np.random.Generator, counts: Any, seq: int) -> list[tuple[int, int, int]]:
    """Pieces of at most `seq` tokens: parts of random documents."""
    found, room = [], int(seq - draw.integers(0, 5))
    while room > 0:
        document = int(draw.choice(np.flatnonzero(counts)))
        offset = int(draw.integers(0, counts[document]))
        length = int(min(room, draw.integers(1, counts[document] - offset + 1)))
        found.append((document, offset, length))
        room -= length
    return found


def _write(
    ctx: TaskContext, suffix: str, fields: dict[str, Any], rows: list[Any], mixture: str = ""
) -> None:
    schema = pa.schema(list(fields.items()))
    columns = np.array(rows, np.int64).reshape(len(rows), len(fields)).T
    arrays = [pa.array(c).cast(t) for c, t in zip(columns, fields.values(), strict=True)]
    table = pa.table(arrays, schema=schema)
    if mixture:
        table = table.append_column("mixture", pa.repeat(mixture, len(rows)))
    writer = ctx.writer(suffix, table.schema)
    for first in range(0, len(rows), 40):
        writer.write(table.slice(first, 40))


def make_plan(path: Path | str, sources: int = 3, mask: bool = False, **options: Any) -> Plan:
    """The plan `mix` over token datasets `tokens/a`, `tokens/b`, …; the second one is wide."""
    store, refs = Store(path), []
    for number in range(sources):
        name = f"tokens/{'abc'[number]}"
        if name not in store:
            some = {"documents": 60 + 30 * number, "width": 2 + 2 * (number == 1)}
            made = MakeTokens(name=name, use="make", mask=mask and number != 1, **some)  # type: ignore[arg-type]
            run_step(made, store, executor=InProcess())  # type: ignore[arg-type]
        refs.append(store[name].ref)
    step = MakePlan(name="mix", use="make", tokens=refs, **options)
    run_step(step, store, executor=InProcess())  # type: ignore[arg-type]
    return open_plan(store, "mix")


def expected(plan: Plan) -> list[dict[str, Any]]:
    """Every row of a plan, by plain Python from its Parquet files: slow, and by another way."""
    store, spec = plan._store, plan.spec
    packed = plan.outputs.packed.to_table().to_pylist()
    pieces = plan.outputs.pieces.to_table().to_pylist()
    texts = [store[source.ref].to_table().to_pylist() for source in spec.sources]
    waiting: dict[tuple[int, int], list[tuple[int, Any]]] = {}
    for row in packed:
        waiting.setdefault((row["segment"], row["source"]), []).append(row)
    injected, rows = set(spec.positions.tolist()), []
    for segment in spec.segments:
        order, dealt = arrange(segment.block), 0
        for position in range(segment.start, segment.stop):
            if position in injected:
                source = spec.injected
            else:
                source = int(order[dealt % len(order)])
                dealt += 1
            row = waiting[segment.number, source].pop(0)
            begin = spec.sources[source].first_piece + row["first_piece"]
            found = pieces[begin : begin + row["pieces"]]
            rows.append(
                {
                    **_tokens(found, texts[source], segment.seq, spec.pad, spec.attention == "row"),
                    "source": source,
                    "row": position,
                }
            )
    assert not any(waiting.values())
    return rows


def _tokens(found: Any, texts: Any, seq: int, pad: int, whole: bool) -> dict[str, Any]:
    ids: list[int] = []
    labels: list[int] = []
    positions: list[int] = []
    for piece in found:
        text = texts[piece["document"]]
        dtype = np.uint16 if len(text["tokens"]) == 2 * text["count"] else np.uint32
        part = slice(piece["offset"], piece["offset"] + piece["length"])
        taken = np.frombuffer(text["tokens"], dtype)[part].tolist()
        kept = np.frombuffer(text.get("loss_mask") or b"\1" * text["count"], np.uint8)[part]
        bears = [token if keep else -100 for token, keep in zip(taken, kept, strict=True)]
        ids += taken
        labels += [-100, *bears[1:]]
        positions += range(len(taken))
    rest = seq - len(ids)
    return {
        "input_ids": ids + [pad] * rest,
        "labels": labels + [-100] * rest,
        "position_ids": list(range(seq)) if whole else positions + list(range(rest)),
    }
