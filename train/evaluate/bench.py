"""The bench: an opened model, its tokenizer, and what the tasks of an evaluation share.

In: a model of the store, of the disk, or of a hub. Out: Bench. Shown by: any `use: evaluate`.
Limit: one model is in memory at a time; it stays for the next task of the same worker.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from gristmill.errors import RecipeError
from gristmill.resident import on_release, release
from gristmill.rng import derive_seed
from gristmill.store import Dataset, Store
from mixtures.tokens.tokenizer_sources import Hub, Source, dataset_of
from synth.calls import Sampling
from synth.engines.rendering import Rendering, load_rendering
from train.evaluate.generate import Completion, generate
from train.evaluate.likelihood import Judged, judge, rank
from train.job import model_folder
from train.models.open import load_folder

UNKNOWN_LENGTH = 1 << 20


@dataclass(frozen=True)
class Machine:
    """Where it runs; nothing of it is in the fingerprint."""

    batch_tokens: int = 8192
    device: str = "auto"
    threads: int | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"

    @property
    def where(self) -> str:
        """The device: cuda where there is one, unless another is asked for."""
        found = "cuda" if torch.cuda.is_available() else "cpu"
        return found if self.device == "auto" else self.device


@dataclass(frozen=True)
class Bench:
    """One model under test. `inputs`: reference -> exact version."""

    source: Source
    name: str  # of the model, as the recipe writes it
    version: str
    model: Any
    rendering: Rendering
    store: Store
    inputs: Mapping[str, str]
    seed: int
    machine: Machine = Machine()
    say: Callable[[str], None] = lambda state: None

    def dataset(self, ref: str) -> Dataset:
        """An input, by the reference that the recipe uses."""
        return self.store[self.inputs[ref]]

    @property
    def longest(self) -> int:
        """Tokens that the model reads at most."""
        return self.rendering.max_len

    def judge(self, rows: Sequence[Sequence[int]]) -> list[Judged]:
        """Nats of the tokens of each row but its first."""
        return judge(self.model, rows, self.machine.batch_tokens, self._shown(len(rows)))

    def rank(
        self, prompts: Sequence[Sequence[int]], choices: Sequence[Sequence[Sequence[int]]]
    ) -> list[list[float]]:
        """Log-probability of each choice behind its prompt; prompts of one length."""
        return rank(self.model, prompts, choices, self.machine.batch_tokens)

    def write(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, title: str, samples: int = 1
    ) -> list[list[Completion]]:
        """Completions; `title` keeps the draws of two tasks apart."""
        return generate(
            self.model, self.rendering, prompts, sampling, derive_seed(self.seed, title), samples,
            self.machine.batch_tokens, self._shown(len(prompts) * samples),
        )  # fmt: skip

    def other(self, source: Source) -> Bench:
        """The same with another model; both are in memory then."""
        return open_bench(source, replace(self, model=None, rendering=None))  # type: ignore[arg-type]

    def _shown(self, total: int) -> Callable[[int], None]:
        done = 0

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            self.say(f"{done:,} of {total:,}")

        return advance


_held: dict[tuple[str, ...], tuple[Any, Rendering]] = {}


def open_bench(source: Source, about: Bench) -> Bench:
    """`about` with the model of a source: RecipeError that names it where it cannot be loaded."""
    name = source.hub if isinstance(source, Hub) else source
    folder = model_folder(source, about.store, about.inputs)
    ref = dataset_of(source)
    version = folder.name if ref is not None else getattr(source, "revision", "")[:12]
    key = (str(folder), about.machine.device, about.machine.dtype)
    if key not in _held:
        release()  # the model before, and engines that an earlier step of this worker left open
        try:
            _held[key] = _load(folder, name, about.machine)
        except (OSError, ValueError, KeyError, RuntimeError, RecipeError) as error:
            raise RecipeError(f"model {name!r} cannot be loaded from {folder}: {error}") from error
    torch.set_num_threads(about.machine.threads or os.cpu_count() or 1)
    model, rendering = _held[key]
    return replace(
        about, source=source, name=name, version=version, model=model, rendering=rendering
    )


def close() -> None:
    """Free the model that is held."""
    _held.clear()
    gc.collect()


def _load(folder: Path, name: str, machine: Machine) -> tuple[Any, Rendering]:
    on_release(close)
    model = load_folder(folder).to(dtype=getattr(torch, machine.dtype), device=machine.where)
    longest = getattr(model.config.get_text_config(), "max_position_embeddings", UNKNOWN_LENGTH)
    return model.eval(), load_rendering(folder, name, longest)
