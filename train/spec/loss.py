"""The loss of a stage: a name and its numbers.

In: `loss: dpo` or `loss: {dpo: {beta: 0.1, nll: 0.2}}`. Out: a LossSpec; `open()` gives the
computation. Shown by: `gristmill plan`. Limit: one loss a stage; terms are options of it.

A new loss is one class below `@register_loss` in a file of `train/spec/losses`, and its name in
_HOME; a third party's comes by the entry point group `gristmill.losses`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

from gristmill.errors import RecipeError
from gristmill.registry import Registry, made, named
from train.spec.base import Spec

KINDS = ("pretrain", "distill", "sft", "reward", "preference", "rl")


class LossSpec(Spec):
    """Options of one loss. `open()` returns what `train.trainer` calls: (model, batch) -> Loss."""

    NAME: ClassVar[str] = ""
    KINDS: ClassVar[frozenset[str]] = frozenset()  # of stages that may use it
    REFERENCE: ClassVar[bool] = False  # whether it needs a reference model's log-probabilities
    SAMPLES: ClassVar[int] = 1  # the fewest samples of a prompt that it can learn from

    @classmethod
    def from_scalar(cls, value: Any) -> LossSpec:
        """A loss takes a mapping of options."""
        raise RecipeError(f"options of a loss are a mapping, got {value!r:.80}")

    def open(self) -> Any:
        """The computation (train.trainer.Objective)."""
        raise RecipeError(f"loss {self.NAME!r} has no open()")


_HOME = {
    "cross_entropy": "train.spec.losses.cross_entropy",
    **dict.fromkeys(("kd_top1", "kd_full", "kd_topk"), "train.spec.losses.distill"),
    **dict.fromkeys(("dpo", "ipo", "kto", "simpo", "orpo", "rpo"), "train.spec.losses.preference"),
    **dict.fromkeys(("bradley_terry", "soft_label", "attributes"), "train.spec.losses.reward"),
    **dict.fromkeys(("grpo", "rloo", "mdloo", "ppo"), "train.spec.losses.policy"),
    "kd_on_policy": "train.spec.losses.on_policy",
}
GROUP = "gristmill.losses"
DEFAULT = {
    "pretrain": "cross_entropy",
    "distill": "kd_top1",
    "sft": "cross_entropy",
    "reward": "bradley_terry",
    "preference": "dpo",
    "rl": "grpo",
}
_LOSSES = Registry("loss", _HOME, GROUP, "name")
T = TypeVar("T", bound=type[LossSpec])


def register_loss(name: str) -> Callable[[T], T]:
    """Class decorator: make a loss known under the name that recipes use."""
    return _LOSSES.register(name)


def loss_names() -> list[str]:
    """Every loss."""
    return _LOSSES.names()


def loss_class(name: str) -> type[LossSpec]:
    """The loss of a name; RecipeError with the nearest name otherwise."""
    return _LOSSES.find(name)


def losses_of(kind: str) -> list[str]:
    """Losses that a stage of this kind may have."""
    return [name for name in loss_names() if kind in loss_class(name).KINDS]


def parse_loss(entry: Any) -> LossSpec:
    """`dpo`, `{dpo: {beta: 0.1}}`."""
    if isinstance(entry, LossSpec):
        return entry
    rule = f"loss is {entry!r:.80}; write `NAME` or `NAME: {{option: value}}`"
    name, options = named(entry, rule)
    cls = loss_class(name)
    return made(cls, name, options, cls.from_scalar)
