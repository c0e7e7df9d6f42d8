"""What a stage will cost: steps, tokens, parameters, FLOPs, memory and hours; nothing is loaded.

In: a step, and what the planner knows of its inputs. Out: Forecast, with what is unknown said.
Shown by: `gristmill plan pipelines/recipes/train/stages.yaml`.
Limit: shapes of models that other steps will make are theirs only where the recipe shows them;
samples that a policy writes are not counted. Memory is an estimate.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.step import Ahead
from mixtures.tokens.tokenizer_sources import Hub, Source, dataset_of, read_source
from mixtures.tokens.tokenizers import from_files, tokenizer_files
from train.machines import Machine, machine
from train.models.sizes import Sizes, sizes_of
from train.spec import Rows

if TYPE_CHECKING:
    from gristmill.step import Step
    from train.step import Train

# Bytes a parameter: float32 moments. What is learnt has float32 weights and gradients too.
STATES = {"adamw": 8, "sgd": 4, "rmsprop": 8, "muon": 4}


@dataclass(frozen=True, slots=True)
class Spans:
    """Rows of one length: optimiser steps, rows a step, tokens a row."""

    steps: int
    batch: int
    seq: int


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of one device."""

    weights: float
    gradients: float
    optimizer: float
    activations: float  # an estimate

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


@dataclass(slots=True)
class Forecast:
    """Numbers that are unknown are None; `unknown` says why."""

    machine: str
    steps: int | None = None
    tokens: int | None = None
    parameters: int | None = None
    active_parameters: int | None = None
    flops: float | None = None
    device_hours: float | None = None  # GPU hours, or core hours
    hours: float | None = None
    memory: Memory | None = None
    fits: bool | None = None
    unknown: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        found = asdict(self)
        if self.memory is not None:
            found["memory"] = {**found["memory"], "total": self.memory.total}
        return found


def forecast(step: Train, ahead: Ahead) -> Forecast:
    """The forecast of a stage."""
    on = machine(step.run.machine)
    found = Forecast(on.name)
    spans = spans_of(step, ahead, found.unknown)
    if spans:
        found.steps = sum(span.steps for span in spans)
        found.tokens = sum(span.steps * span.batch * span.seq for span in spans)
    config = config_of(step, ahead)
    sizes = sizes_of(config) if config else None
    if sizes is None:
        family = config.get("model_type") if config else None
        found.unknown.append(
            f"the family {family!r} is not counted" if config else "the model is not there yet"
        )
        return found
    found.parameters, found.active_parameters = sizes.parameters, sizes.active_parameters
    if spans:
        found.flops = sum(
            s.steps * s.batch * s.seq * _flops(step, ahead, sizes, s.seq) for s in spans
        )
        found.device_hours = on.hours(found.flops)
        devices = min(on.devices, step.run.ranks) if on.gpu else on.devices
        found.hours = found.device_hours / devices
        found.memory = _memory(step, sizes, spans, on)
        found.fits = found.memory.total <= on.memory * (1 if on.gpu else on.devices)
    if step.kind == "rl":
        found.unknown.append("what the policy writes is not counted")
    return found


def spans_of(step: Train, ahead: Ahead, unknown: list[str]) -> list[Spans]:
    """Steps and shapes of the data; [] where they are unknown."""
    if isinstance(step.data, Rows):
        return _row_spans(step.data, ahead, unknown)
    dataset = ahead.dataset(step.data)
    if dataset is not None:
        spec = json.loads(next(dataset.output(".plan").scan(["spec"]))["spec"][0].as_py())
        return [
            Spans(segment["rows"] // segment["batch"], segment["batch"], segment["seq"])
            for segment in spec["segments"]
        ]
    planned = ahead.step(step.data)
    from mixtures.blend.schedule import budget_tokens
    from mixtures.blend.step import Mixture

    if not isinstance(planned, Mixture):
        unknown.append(f"{step.data} is not there yet")
        return []
    found = planned.spans(budget_tokens(planned.budget))
    return [Spans(span.steps, span.batch, span.seq) for span in found]


def _row_spans(spec: Rows, ahead: Ahead, unknown: list[str]) -> list[Spans]:
    known = [ahead.amount(ref) for ref in spec.rows]
    rows = sum(amount[0] for amount in known if amount)
    if None in known or rows < 1:
        unknown.append(f"how many rows {', '.join(spec.rows)} will have")
        return []
    tokens = sum(amount[1] for amount in known if amount)
    length = min(spec.max_length, round(tokens / rows) or spec.max_length)
    steps = max(1, -(-round(spec.epochs * rows) // spec.batch))
    return [Spans(steps, spec.batch, length)]


def config_of(step: Train, ahead: Ahead) -> dict[str, Any] | None:
    """The config of the model that a stage trains, where it is known; patches keep its shape."""
    if step.init.config:
        size = None if "vocab_size" in step.init.config else _vocabulary(step, ahead)
        filled = {} if size is None else {"vocab_size": size}
        return {**filled, **step.init.config}
    source = step.init.from_
    if isinstance(source, Hub) or source is None:
        return None
    ref = dataset_of(source)
    if ref is None:
        return _read(Path(source).expanduser())
    return _made(ref, ahead)


def _made(ref: str, ahead: Ahead) -> dict[str, Any] | None:
    """The config of a model of the store, or of the step that will make it."""
    dataset = ahead.dataset(ref)
    if dataset is not None:
        return _read(dataset.path) if dataset.is_folder else None
    from train.step import Train

    planned = ahead.step(ref)
    return config_of(planned, ahead) if isinstance(planned, Train) else None


def _read(folder: Path) -> dict[str, Any] | None:
    file = folder / "config.json"
    return json.loads(file.read_text()) if file.is_file() else None


def _vocabulary(step: Train, ahead: Ahead) -> int | None:
    """Tokens of the stage's tokenizer, built or still to be trained."""
    if step.init.tokenizer is not None:
        return _size(step.init.tokenizer, ahead)
    if not isinstance(step.data, str):
        return None
    if (dataset := ahead.dataset(step.data)) is not None:
        spec = json.loads(next(dataset.output(".plan").scan(["spec"]))["spec"][0].as_py())
        return int(spec["vocab_size"])
    from mixtures.blend.step import Mixture
    from mixtures.tokens.tokenize import Tokenize

    mixture = ahead.step(step.data)
    if not isinstance(mixture, Mixture):
        return None
    for source in mixture.sources.values():
        tokens = ahead.step(source.from_)
        if isinstance(tokens, Tokenize):
            return _size(tokens.tokenizer, ahead)
        if (dataset := ahead.dataset(source.from_)) is not None:
            files = tokenizer_files(dataset.output(".tokenizer"))
            return from_files(files, dataset.ref).vocab_size
    return None


def _size(source: Source, ahead: Ahead) -> int | None:
    from mixtures.tokens.tokenize import Tokenize
    from mixtures.tokens.train_tokenizer import TrainTokenizer

    if isinstance(source, Hub):
        return None
    ref = dataset_of(source)
    if ref is None:
        return from_files(read_source(source, {}, ""), source).vocab_size
    if (dataset := ahead.dataset(ref)) is not None:
        return from_files(tokenizer_files(dataset), ref).vocab_size
    planned: Step | None = ahead.step(ref)
    if isinstance(planned, TrainTokenizer):
        return planned.vocab_size
    return _size(planned.tokenizer, ahead) if isinstance(planned, Tokenize) else None


def _flops(step: Train, ahead: Ahead, sizes: Sizes, seq: int) -> float:
    """Of a token of the stage: the model's, and a third of that for each model that is only asked.

    An adapter's gradient goes through frozen weights but not into them: 4 of 6 N. Activations that
    are computed again cost a second forward pass.
    """
    whole = sizes.flops(seq)
    found = whole * (2 / 3 if step.model.lora else 1) + (whole / 3 if step.run.checkpointing else 0)
    for ref in step.teachers:
        config = _made(ref, ahead) if dataset_of(ref) is not None else _read(Path(ref))
        teacher = sizes_of(config) if config else None
        found += (teacher or sizes).flops(seq) / 3
    return found + (whole / 3 if step.objective.REFERENCE else 0)


def _memory(step: Train, sizes: Sizes, spans: list[Spans], on: Machine) -> Memory:
    """Of one device: FSDP2 gives each rank its part of weights, gradients and moments."""
    parts = step.run.ranks if on.gpu else 1
    learnt = sizes.parameters if step.model.lora is None else _adapter(step, sizes)
    frozen = sizes.parameters if step.model.lora is not None else 0
    a_weight = {"int8": 1.0, "nf4": 0.5, None: 4.0}[step.model.quantize]
    each = 2 if step.model.dtype == "bfloat16" else 4
    kept = not step.run.checkpointing
    activations = max(
        sizes.activations(_rows(step, span) * span.seq, each, kept, step.run.fused_loss)
        for span in spans
    )
    cast = 2.0 * sizes.parameters if each == 2 and not step.model.quantize else 0.0
    return Memory(
        (4.0 * learnt + a_weight * frozen + cast) / parts,
        4.0 * learnt / parts,
        float(STATES[step.optim.name]) * learnt / parts,
        activations if on.gpu else activations * step.run.ranks,
    )


def _rows(step: Train, span: Spans) -> int:
    """Rows of one forward pass."""
    each = -(-span.batch // step.run.ranks)
    return min(each, step.run.micro_batch or each)


def _adapter(step: Train, sizes: Sizes) -> int:
    """Parameters of an adapter on all linear modules but the head."""
    assert step.model.lora is not None
    wide = 0
    for layer in sizes.layers:
        heads, keys = layer.heads * sizes.head_dim, layer.key_heads * sizes.head_dim
        wide += 2 * (sizes.width + heads) + 2 * (sizes.width + keys)
        wide += 3 * (sizes.width + layer.ffn) * max(1, sizes.experts)
    return step.model.lora.r * wide


def table_row(name: str, found: Mapping[str, Any]) -> dict[str, Any]:
    """A line for people."""
    memory = found["memory"]["total"] if found["memory"] else None
    return {
        "stage": name,
        "steps": _short(found["steps"]),
        "tokens": _short(found["tokens"]),
        "parameters": _short(found["parameters"]),
        "active": _short(found["active_parameters"]),
        "FLOPs": f"{found['flops']:.2e}" if found["flops"] else "?",
        "memory": f"{memory / 1e9:.2f} GB{'' if found['fits'] else ' (too much)'}"
        if memory
        else "?",
        "device hours": _short(found["device_hours"]),
        "hours": _short(found["hours"]),
        "machine": found["machine"],
        "unknown": "; ".join(found["unknown"]),
    }


def _short(number: float | None) -> str:
    if number is None:
        return "?"
    for size, unit in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"
