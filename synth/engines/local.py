"""What the engines share that load a model folder themselves: its settings, identity, prompts.

In: `model: models/qwen` and the like. Out: synth.calls.Model, and requests as token ids.
Shown by: `python -m pytest tests/synth/engines/test_rendering.py`.
Limit: a hub id is fetched by huggingface_hub, whole, when the engine is first asked of its model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from gristmill.store import Dataset
from synth.calls import Failure, Model, ModelCall, Ready, Reward
from synth.engines.rendering import Rendering, load_rendering
from synth.engines.spec import EngineSpec
from synth.engines.weights import context_length, deciding_files, identify, model_folder


class LocalSpec(EngineSpec):
    """Settings of a model that is loaded on this machine."""

    PLACE: ClassVar[frozenset[str]] = frozenset({"model", "download"})

    model: str = ""  # a folder, or with `download` a hub id
    checkpoint: str | None = None  # instead: a model of the store, as `use: train` makes it
    name: str = ""  # in provenance and request keys; default: the folder's or checkpoint's name
    download: bool = False
    hub_revision: str = ""
    max_model_len: int | None = Field(default=None, ge=2)  # default: what its config says
    dtype: str = "auto"
    pooling: bool = False  # a reward model (sequence classification)
    template_args: dict[str, Any] = Field(default={})  # of the chat template: enable_thinking, …

    @model_validator(mode="after")
    def _one_model(self) -> LocalSpec:
        if bool(self.model) == bool(self.checkpoint):
            raise RecipeError(
                "name one model: `model: ./folder`, or `checkpoint: models/base` of the store"
            )
        return self

    def inputs(self) -> list[str]:
        return [self.checkpoint] if self.checkpoint else []

    def resolved(self, models: Mapping[str, Dataset]) -> LocalSpec:
        if self.checkpoint is None:
            return self
        found = models[self.checkpoint]
        if not found.is_folder:
            kind = found.manifest["kind"]
            raise RecipeError(f"checkpoint {found.ref} is rows of kind {kind}, not a model")
        here = {"model": str(found.path), "checkpoint": None, "name": self.name or found.name}
        return self.model_copy(update=here)

    def is_local(self) -> bool:
        """A folder, not a hub id."""
        return Path(self.model).expanduser().is_dir()

    def folder(self) -> Path:
        """The model's folder; a hub id is fetched first."""
        return model_folder(self.model, self.download, self.hub_revision)

    def files(self) -> list[str]:
        if self.checkpoint or (self.download and not self.is_local()):
            return []  # its version, or the hub id and its revision, stand for them
        return [file.path for part in deciding_files(self.folder()) for file in part]

    def packages(self) -> list[str]:
        return ["transformers"]

    def config(self) -> dict[str, Any]:
        found = super().config()
        checkpoint = found.pop("checkpoint")
        if checkpoint is not None:
            return found | {"checkpoint": checkpoint}
        named = self.name or (Path(self.model).name if self.is_local() else self.model)
        return found | {"name": named}

    def check(self) -> None:
        if self.checkpoint or (self.download and not self.is_local()):
            return
        limit = context_length(self.folder())
        if limit is not None and self.max_model_len is not None and self.max_model_len > limit:
            raise RecipeError(
                f"max_model_len is {self.max_model_len}; the model's config allows {limit}"
            )

    def settings(self) -> dict[str, Any]:
        """What changes the answers of the same weights: `auto` is another type in each engine."""
        return {"engine": self.NAME, "dtype": self.dtype}

    def adapter(self) -> Path | None:
        """The folder of a LoRA adapter."""
        return None


class LocalEngine:
    """The part of an engine that needs the tokenizer and no weights."""

    def __init__(self, spec: LocalSpec, digests: Path | None = None) -> None:
        self.digests = digests  # where digests of files are remembered, if anywhere
        self._local = spec

    @cached_property
    def model(self) -> Model:
        spec = self._local
        name = spec.name or ("" if spec.is_local() else spec.model)
        return identify(spec.folder(), name, spec.settings(), spec.adapter(), self.digests)

    @cached_property
    def rendering(self) -> Rendering:
        """Tokenizer and chat template."""
        spec = self._local
        limit = spec.max_model_len or context_length(spec.folder())
        if limit is None:
            raise RecipeError(
                f"the config of model {spec.model!r} does not tell its context; set max_model_len"
            )
        return load_rendering(spec.folder(), spec.model, limit, spec.template_args)

    def prepare(self, calls: Sequence[ModelCall]) -> list[Ready | Failure]:
        """See synth.calls.Engine."""
        pooling = self._local.pooling
        for call in calls:
            if isinstance(call, Reward) != pooling:
                raise RecipeError(
                    f"engine {call.engine!r} is asked for {type(call).__name__}, but `pooling` is "
                    f"{pooling}; a reward model has `pooling: true`, all others have not"
                )
        return self.rendering.prepare(self.model, calls)
