"""What a stage will cost: steps, tokens, parameters, FLOPs, memory and hours; nothing is loaded.

In: a step, and what the planner knows of its inputs. Out: Forecast, with what is unknown said.
Shown by: `gristmill plan pipelines/recipes/train/stages.yaml`.
Limit: a policy's answers count as long as they may be; activations are an estimate.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from gristmill.progress import hours_told, human
from gristmill.step import Ahead
from train.machines import Machine, machine
from train.models.sizes import Sizes, sizes_of
from train.planned import Spans, config_at, config_of, spans_of
from train.spec import LossSpec, Rollout
from train.spec.losses.policy import Grpo, PolicyLoss

if TYPE_CHECKING:
    from train.step import Train

# Bytes a parameter: float32 moments. What is learnt has float32 weights and gradients too.
STATES = {"adamw": 8, "sgd": 4, "rmsprop": 8, "muon": 4}


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
        found.tokens = sum(span.tokens for span in spans)
    config = config_of(step, ahead)
    sizes = sizes_of(config) if config else None
    if sizes is None:
        family = config.get("model_type") if config else None
        found.unknown.append(
            f"the family {family!r} is not counted" if config else "the model is not there yet"
        )
        return found
    if config and "vocab_size" not in config:
        found.unknown.append(f"the vocabulary, taken to have {sizes.vocabulary:,} tokens")
    found.parameters, found.active_parameters = sizes.parameters, sizes.active_parameters
    if spans:
        found.flops = sum(s.tokens * _flops(step, ahead, sizes, s.seq) for s in spans)
        found.device_hours = on.hours(found.flops)
        devices = min(on.devices, step.run.ranks) if on.gpu else on.devices
        found.hours = found.device_hours / devices
        found.memory = _memory(step, sizes, spans, on)
        found.fits = found.memory.total <= on.memory * (1 if on.gpu else on.devices)
    return found


def _flops(step: Train, ahead: Ahead, sizes: Sizes, seq: int) -> float:
    """Of a token of the stage: the model's, and a third of that for each model that is only asked.

    An adapter's gradient goes through frozen weights but not into them: 4 of 6 N. Activations that
    are computed again cost a second forward pass.
    """
    whole = sizes.flops(seq)
    found = whole * (2 / 3 if step.model.lora else 1) + (whole / 3 if step.run.checkpointing else 0)
    for ref in step.teachers:
        config = config_at(ref, ahead)
        teacher = sizes_of(config) if config else None
        found += (teacher or sizes).flops(seq) / 3
    if step.rollout is None:
        return found + (whole / 3 if step.objective.REFERENCE else 0)
    return found + whole / 3 * _asked(step.objective, step.rollout) / step.rollout.updates


def _asked(loss: LossSpec, rollout: Rollout) -> int:
    """Forward passes over each batch of samples: writing it, and what is said of it before the
    first update."""
    if not isinstance(loss, PolicyLoss):
        return 1
    return 1 + (loss.beta > 0) + (not isinstance(loss, Grpo) or rollout.updates > 1)


def _memory(step: Train, sizes: Sizes, spans: list[Spans], on: Machine) -> Memory:
    """Of one device: FSDP2 gives each rank its part of weights, gradients and moments."""
    shares = on.gpu if step.run.shard is None else step.run.shard
    parts = step.run.ranks if shares else 1
    learnt = sizes.parameters if step.model.lora is None else _adapter(step, sizes)
    frozen = sizes.parameters if step.model.lora is not None else 0
    a_weight = {"int8": 1.0, "nf4": 0.5, None: 4.0}[step.model.quantize]
    each = 2 if step.model.dtype == "bfloat16" else 4
    kept = not step.run.checkpointing
    activations = max(
        sizes.activations(
            _rows(step, span) * span.sequences * span.seq, each, kept, step.run.fused_loss
        )
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
        "steps": _known(found["steps"]),
        "tokens": _known(found["tokens"]),
        "parameters": _known(found["parameters"]),
        "active": _known(found["active_parameters"]),
        "FLOPs": f"{found['flops']:.2e}" if found["flops"] else "?",
        "memory": f"{memory / 1e9:.2f} GB{'' if found['fits'] else ' (too much)'}"
        if memory
        else "?",
        "device time": _known(found["device_hours"], hours_told),
        "time": _known(found["hours"], hours_told),
        "machine": found["machine"],
        "unknown": "; ".join(found["unknown"]),
    }


def _known(number: float | None, told: Callable[[float], str] = human) -> str:
    return "?" if number is None else told(number)
