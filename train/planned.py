"""What a recipe shows of a stage's inputs before they are built: steps and lengths, model, tokens.

In: a step, and what the planner knows. Out: Spans, a config as a mapping; None where it is unknown.
Shown by: `gristmill plan pipelines/recipes/train/stages.yaml`.
Limit: of a model of a hub nothing is known.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.step import Ahead
from mixtures.tokens.tokenizer_sources import Hub, Source, dataset_of, read_source
from mixtures.tokens.tokenizers import from_files, tokenizer_files
from train.spec import Rows

if TYPE_CHECKING:
    from gristmill.step import Step
    from train.step import Train


@dataclass(frozen=True, slots=True)
class Spans:
    """Rows of one length: optimiser steps, rows a step, sequences a row, tokens a sequence."""

    steps: int
    batch: int
    seq: int
    sequences: int = 1  # the two answers of a pair; the samples of a prompt

    @property
    def tokens(self) -> int:
        """Of all steps."""
        return self.steps * self.batch * self.sequences * self.seq


def spans_of(step: Train, ahead: Ahead, unknown: list[str]) -> list[Spans]:
    """Steps and shapes of the data; [] where they are unknown."""
    if isinstance(step.data, Rows):
        return _row_spans(step, step.data, ahead, unknown)
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


def _row_spans(step: Train, spec: Rows, ahead: Ahead, unknown: list[str]) -> list[Spans]:
    """Rows whose length nobody knows are taken to be as long as they may be."""
    known = [ahead.amount(ref) for ref in spec.rows]
    rows = sum(amount[0] for amount in known if amount)
    if None in known or rows < 1:
        unknown.append(f"how many rows {', '.join(spec.rows)} will have")
        return []
    rollout = step.rollout
    most = spec.max_length - (rollout.max_tokens if rollout else 0)
    tokens = sum(a[0] * min(most, a[1] / a[0] if a[1] else most) for a in known if a and a[0])
    length = max(1, round(tokens / rows))
    steps = max(1, -(-round(spec.epochs * rows) // spec.batch))
    if rollout is not None:
        unknown.append(f"how long answers are: at most {rollout.max_tokens} tokens, as counted")
        length += rollout.max_tokens
        return [Spans(steps * rollout.updates, spec.batch, length, rollout.samples)]
    compares = step.kind in ("reward", "preference")
    pairs = compares and all(kind_of(ref, ahead) == "preference" for ref in spec.rows)
    return [Spans(steps, spec.batch, length, 2 if pairs else 1)]


def kind_of(ref: str, ahead: Ahead) -> str | None:
    """The kind of a dataset that a step will make, or that is in the store."""
    maker = ahead.step(ref)
    if maker is not None:
        return maker.outputs()[ref.partition("@")[0].removeprefix(maker.name)].kind
    dataset = ahead.dataset(ref)
    return None if dataset is None else str(dataset.manifest["kind"])


def config_of(step: Train, ahead: Ahead) -> dict[str, Any] | None:
    """The config of the model that a stage trains, where it is known."""
    if step.init.config:
        size = None if "vocab_size" in step.init.config else _vocabulary(step, ahead)
        filled = {} if size is None else {"vocab_size": size}
        return {**filled, **step.init.config}
    assert step.init.from_ is not None  # Init has one of them
    found = config_at(step.init.from_, ahead)
    return {**found, **step.model.patch} if found else None


def config_at(source: Source, ahead: Ahead) -> dict[str, Any] | None:
    """The config of a folder, of a model of the store, or of the step that will make it."""
    if isinstance(source, Hub):
        return None
    ref = dataset_of(source)
    if ref is None:
        return _read(Path(source).expanduser())
    dataset = ahead.dataset(ref)
    if dataset is not None:
        return _read(dataset.path) if dataset.is_folder else None
    from train.step import Train
    from train.weights.step import Checkpoint

    planned = ahead.step(ref)
    if isinstance(planned, Checkpoint):
        first = config_at(planned.op.sources()[0], ahead)
        return planned.op.planned(first) if first else None
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
