"""Operations on checkpoints, as a user writes them: `average: {of: [models/a, models/b]}`.

In: models of the store or of the disk. Out: the layout of one model, and its tensors one by one.
Shown by: `use: checkpoint`. Limit: no operation trains or runs a model.

A new operation is one class below `@register_op` in a file of `train/weights/ops`, and its name in
_HOME; a third party's comes by the entry point group `gristmill.checkpoints`. These files import no
torch at the top, so that `gristmill plan` needs none; methods of tensors need no import.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from gristmill.errors import RecipeError
from gristmill.registry import Registry, made
from mixtures.tokens.tokenizer_sources import Source
from train.spec.base import Spec
from train.spec.init import model_files
from train.weights.folder import Entry, Folder

if TYPE_CHECKING:
    from torch import Tensor

    from train.weights.model import Model


@dataclass(frozen=True, slots=True)
class Layout:
    """What an operation makes, before it makes it."""

    config: dict[str, Any]
    tensors: dict[str, Entry]


@dataclass(frozen=True, slots=True)
class Made:
    """One tensor of the result, and what the report says of it."""

    tensor: Tensor
    kept: float | None = None  # share of entries (prune, slice) or of differences (ties, dare)
    angle: float | None = None  # degrees between task vectors (slerp), or heads (warm)


Make = Callable[[str], Made]


class WeightOp(Spec):
    """One operation. Fields are what a user writes."""

    NAME: ClassVar[str] = ""
    ADAPTERS: ClassVar[bool] = False  # whether it knows what to do with an adapter beside weights

    @classmethod
    def from_scalar(cls, value: Any) -> WeightOp:
        """An operation takes a mapping of options."""
        raise RecipeError(f"options of an operation are a mapping, got {value!r:.80}")

    def sources(self) -> list[Source]:
        """The models it reads; the first gives config and tokenizer."""
        raise RecipeError(f"op {self.NAME!r} names no sources()")

    def files(self) -> list[str]:
        """Files on disk whose content decides."""
        return [file for source in self.sources() for file in model_files(source)]

    def inner(self, place: int, folder: Path) -> Path:
        """The folder that is meant where a source (by its place) holds another."""
        return folder

    def reference(self) -> int:
        """The model from which the report measures distances, by its place in `sources`."""
        return 0

    def check(self) -> None:
        """Raise RecipeError for what the fields alone show to be wrong."""

    def planned(self, config: dict[str, Any]) -> dict[str, Any]:
        """Config of the result from that of the first model, for `gristmill plan`."""
        return config

    def layout(self, folders: Sequence[Folder]) -> Layout:
        """Config, names, dtypes and shapes of the result; RecipeError where models do not fit."""
        raise RecipeError(f"op {self.NAME!r} has no layout()")

    def open(self, models: Sequence[Model], seed: int) -> Make:
        """A function that makes one tensor of the layout: a pure one, whatever the order."""
        raise RecipeError(f"op {self.NAME!r} has no open()")

    def facts(self, models: Sequence[Model]) -> dict[str, Any]:
        """For the build record: what concerns no single tensor."""
        return {}

    def notes(self, facts: Mapping[str, Any]) -> list[str]:
        """What the user should know, from the facts."""
        return []


_OPS = "train.weights.ops."
_NAMES = (
    *("average", "ema", "warm", "linear", "slerp", "liti", "task_arithmetic", "ties", "dare"),
    *("prune", "slice", "grow", "upcycle", "lora_merge"),
)
GROUP = "gristmill.checkpoints"
_REGISTRY = Registry("checkpoint", {name: _OPS + name for name in _NAMES}, GROUP)
T = TypeVar("T", bound=type[WeightOp])


def register_op(name: str) -> Callable[[T], T]:
    """Class decorator: make an operation known under the name that recipes use."""
    return _REGISTRY.register(name)


def op_names() -> list[str]:
    """Every operation."""
    return _REGISTRY.names()


def op_class(name: str) -> type[WeightOp]:
    """The operation of a name; RecipeError with the nearest name otherwise."""
    return _REGISTRY.find(name)


def parse_op(entry: Any) -> WeightOp:
    """`{average: {of: [models/a, models/b]}}`."""
    if isinstance(entry, WeightOp):
        return entry
    if not isinstance(entry, dict) or len(entry) != 1:
        raise RecipeError(
            f"a step `use: checkpoint` has one operation, `NAME: {{option: value}}`; it has "
            f"{sorted(map(str, entry)) if isinstance(entry, dict) else entry!r}; known: "
            f"{', '.join(op_names())}"
        )
    ((name, options),) = entry.items()
    cls = op_class(str(name))
    return made(cls, str(name), options, cls.from_scalar)
