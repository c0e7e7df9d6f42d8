"""transformers in this process: what runs on a laptop without vLLM, on a CPU too.

In: `engines: {main: {transformers: {model: models/qwen}}}`. Out: answers, as each is done.
Shown by: `python -m pytest tests/synth/engines/test_transformers.py`.
Limit: the same request has the same answer in any company up to float noise: where two tokens are
as good as equal, other rows in the batch may tip the balance, at temperature 0 too.
"""

from __future__ import annotations

import gc
import random
import time
from collections import deque
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from gristmill.errors import GristmillError, RecipeError
from synth.calls import Answer, EngineDied, Failure, Generate, Ready
from synth.engines.local import LocalEngine, LocalSpec
from synth.engines.transformers_batch import Batch, Writing
from synth.engines.transformers_grammar import Grammar, need_xgrammar
from synth.engines.transformers_load import load
from synth.engines.transformers_scoring import batches, reward, score


class TransformersSpec(LocalSpec):
    """Settings of the embedded engine."""

    NAME: ClassVar[str] = "transformers"
    PLACE: ClassVar[frozenset[str]] = LocalSpec.PLACE | {"device", "batch_size"}

    device: str = "auto"  # cuda, mps or cpu: the first that is there
    batch_size: int = Field(default=16, ge=1)

    def packages(self) -> list[str]:
        return [*super().packages(), "torch"]

    def check(self) -> None:
        for package in ("torch", "transformers"):
            if find_spec(package) is None:
                raise RecipeError(
                    f"engine transformers needs the package {package}: "
                    "`pip install 'gristmill[synth]'`"
                )
        super().check()

    def open(self) -> TransformersEngine:
        return TransformersEngine(self)


class TransformersEngine(LocalEngine):
    """The engine; see synth.calls.Engine."""

    def __init__(self, spec: TransformersSpec, digests: Path | None = None) -> None:
        super().__init__(spec, digests)
        self.spec = spec
        self.capacity = 4 * spec.batch_size
        self._model: Any = None
        self._batch: Batch | None = None
        self._grammar: Any = None
        self._waiting: deque[Writing] = deque()
        self._one_pass: list[tuple[int, Ready]] = []
        self._refused: list[tuple[int, Answer | Failure]] = []

    def start(self) -> None:
        self.close()
        spec = self.spec
        self._model = load(spec.folder(), spec.device, spec.dtype, spec.pooling)
        if not spec.pooling:
            width = self._model.get_output_embeddings().weight.shape[0]
            rendering = self.rendering
            self._grammar = Grammar(rendering.tokenizer, width, rendering.stop_ids)
            self._batch = Batch(self._model, rendering, self._grammar)

    def submit(self, ticket: int, call: Ready) -> None:
        if self._model is None:
            raise EngineDied("transformers is not started")
        request = call.call
        if not isinstance(request, Generate):
            self._one_pass.append((ticket, call))
            return
        matcher = None
        if request.sampling.structure is not None:
            need_xgrammar(request.engine)
            try:
                matcher = self._grammar.matcher(request.sampling.structure)
            except ValueError as error:
                self._refused.append((ticket, Failure("rejected", str(error), call.key)))
                return
        draw = random.Random(request.seed)
        prompt = list(call.tokens or ())
        self._waiting.append(Writing(ticket, call, request.sampling, prompt, draw, matcher))

    def poll(self, wait: float) -> list[tuple[int, Answer | Failure]]:
        done, self._refused = self._refused, []
        until = time.monotonic() + wait
        try:
            while self._busy():
                done += self._score() if self._one_pass else self._write()
                if done or time.monotonic() >= until:
                    break
        except GristmillError:
            raise
        except Exception as error:  # out of memory and the like: all that was under way is lost
            self.close()
            raise EngineDied(f"transformers died: {type(error).__name__}: {error}") from error
        return done

    def abort(self, tickets: Sequence[int]) -> None:
        gone = set(tickets)
        self._waiting = deque(row for row in self._waiting if row.ticket not in gone)
        self._one_pass = [item for item in self._one_pass if item[0] not in gone]
        self._refused = [item for item in self._refused if item[0] not in gone]
        if self._batch is not None:
            self._batch.leave(tickets)

    def close(self) -> None:
        self._model = self._batch = self._grammar = None
        self._waiting.clear()
        self._one_pass.clear()
        self._refused.clear()
        gc.collect()

    def _busy(self) -> bool:
        return bool(self._one_pass or self._waiting or (self._batch and self._batch.rows))

    def _score(self) -> list[tuple[int, Answer | Failure]]:
        """One batch of those that need a single pass, the longest first."""
        width = 1 if self.spec.pooling else self._model.get_output_embeddings().weight.shape[0]
        batch = batches(self._one_pass, self.spec.batch_size, width)[0]
        taken = {ticket for ticket, _ in batch}
        self._one_pass = [item for item in self._one_pass if item[0] not in taken]
        requests = [ready for _, ready in batch]
        if self.spec.pooling:
            pad = self.rendering.tokenizer.pad_token_id or 0
            answers = reward(self._model, requests, pad)
        else:
            answers = score(self._model, requests)
        return [(ticket, answer) for (ticket, _), answer in zip(batch, answers, strict=True)]

    def _write(self) -> list[tuple[int, Answer | Failure]]:
        """Let new rows in where there is room for some, then one token for every row."""
        assert self._batch is not None
        free = self.spec.batch_size - len(self._batch.rows)
        done: list[Writing] = []
        # Joining copies the cache of all: a few at a time, unless nobody else is there.
        if self._waiting and (free >= max(1, self.spec.batch_size // 8) or not self._batch.rows):
            new = [self._waiting.popleft() for _ in range(min(free, len(self._waiting)))]
            done += self._batch.admit(new)
        if self._batch.rows:
            done += self._batch.step()
        return [(row.ticket, row.answer(self.rendering)) for row in done]
