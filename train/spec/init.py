"""Where a model begins: a checkpoint, or a configuration and a tokenizer.

In: `init: models/base`, `{hub: org/name, revision: …}`, or `{config: {model_type: llama, …},
tokenizer: tok/bpe}`. Out: Init.
Shown by: `gristmill plan`. Limit: a hub is asked only for an exact commit, when the stage runs.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Hub, Source, check_source, dataset_of, files_of
from train.spec.base import Short


class Init(Short):
    """One of `from` and `config`."""

    SHORT: ClassVar[str] = "from"

    # A model of the store, ./folder (as `save_pretrained` writes it), or {hub, revision}.
    from_: Source | None = Field(default=None, alias="from")
    optimizer: Literal["fresh", "carry"] = "fresh"  # carry: what `run.keep_optimizer` kept
    config: dict[str, Any] = Field(
        default={}
    )  # of transformers: model_type and its keys; random weights
    tokenizer: Source | None = None  # default: the checkpoint's, or the mixture's

    @model_validator(mode="before")
    @classmethod
    def _hub(cls, given: Any) -> Any:
        """`{hub, revision}` alone is a checkpoint, as in other steps that name models."""
        return {cls.SHORT: given} if isinstance(given, dict) and "hub" in given else given

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        forms = super().__get_pydantic_json_schema__(core, handler)["anyOf"]
        return {"anyOf": [*forms, Hub.model_json_schema()]}

    @model_validator(mode="after")
    def _one(self) -> Init:
        if (self.from_ is None) == (not self.config):
            raise RecipeError(
                "init needs one of `from` (a checkpoint: models/base, ./folder) and `config` (of "
                "transformers, for random weights: {model_type: llama, hidden_size: 256, …})"
            )
        if self.config and "model_type" not in self.config:
            raise RecipeError(
                f"init.config has {sorted(self.config)}: `model_type` is missing (llama, …)"
            )
        if self.config and self.optimizer == "carry":
            raise RecipeError("init.optimizer is 'carry': random weights have no optimiser's state")
        for source in (self.from_, self.tokenizer):
            if source is not None:
                check_source(source)
        return self

    def datasets(self) -> list[str]:
        """References of the store."""
        found = [dataset_of(source) for source in (self.from_, self.tokenizer) if source]
        return [name for name in found if name is not None]

    def files(self) -> list[str]:
        """Files on disk whose content decides: weights, config, tokenizer."""
        return model_files(self.from_) + (files_of(self.tokenizer) if self.tokenizer else [])


def model_files(source: Source | None) -> list[str]:
    """The files of a model folder on disk that count; [] for the store's and the hub's."""
    if not isinstance(source, str) or dataset_of(source) is not None:
        return []
    from pathlib import Path

    folder = Path(source).expanduser()
    if not (folder / "config.json").is_file():
        raise RecipeError(
            f"model {source!r}: no {folder / 'config.json'}; name a folder as `save_pretrained` "
            "writes it, or a model of the store (models/base)"
        )
    wanted = (".safetensors", ".json", ".jinja", ".model")
    return sorted(str(file) for file in folder.iterdir() if file.name.endswith(wanted))
