"""What a recipe says of a model: `engines: {main: {vllm: {model: models/qwen}}}`.

In: one entry of `engines`. Out: a spec that opens an engine. Shown by: `gristmill plan RECIPE`.
Limit: a third party adds engines by the entry point group `gristmill.engines`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from gristmill.errors import RecipeError, explain, nearest
from gristmill.store import Dataset
from gristmill.values import check_values
from synth.calls import Engine

ENGINES = {
    "vllm": "synth.engines.vllm:VllmSpec",
    "openai": "synth.engines.openai:OpenAISpec",
    "transformers": "synth.engines.transformers:TransformersSpec",
    "fake": "synth.engines.fake:FakeSpec",
}
GROUP = "gristmill.engines"


class EngineSpec(BaseModel):
    """Settings of one engine. Those in PLACE say where it runs, not what it answers."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    NAME: ClassVar[str] = ""
    PLACE: ClassVar[frozenset[str]] = frozenset()  # url, device, …: outside the fingerprint

    @model_validator(mode="before")
    @classmethod
    def _plain_values(cls, given: Any) -> Any:
        check_values(cls, given)
        return given

    def inputs(self) -> list[str]:
        """References of the store's models that it loads."""
        return []

    def resolved(self, models: Mapping[str, Dataset]) -> EngineSpec:
        """The spec with folders in the place of its references."""
        return self

    def files(self) -> list[str]:
        """Globs of files that decide the answers: weights, tokenizer."""
        return []

    def packages(self) -> list[str]:
        """Distributions whose version may change the answers."""
        return []

    def config(self) -> dict[str, Any]:
        """What enters the step's fingerprint."""
        return {k: v for k, v in self.model_dump(mode="json").items() if k not in self.PLACE}

    def check(self) -> None:
        """Raise RecipeError for what can be seen without loading: no such folder, no package."""

    def open(self) -> Engine:
        """The engine, cheap: no weights are loaded before its `start`."""
        raise RecipeError(f"engine {self.NAME!r} has no open()")


def spec_class(name: str) -> type[EngineSpec]:
    """The spec of a backend; RecipeError with the nearest name otherwise."""
    if name in ENGINES:
        module, _, cls = ENGINES[name].partition(":")
        found: type[EngineSpec] = getattr(import_module(module), cls)
        return found
    for point in entry_points(group=GROUP, name=name):
        loaded: type[EngineSpec] = point.load()
        return loaded
    raise RecipeError(f"engines names an unknown backend {name!r}{nearest(name, ENGINES)}")


def parse_spec(label: str, entry: Any) -> EngineSpec:
    """`{vllm: {model: …}}`, as it stands under a label of `engines`."""
    if isinstance(entry, EngineSpec):
        return entry
    if not isinstance(entry, dict) or len(entry) != 1:
        raise RecipeError(
            f"engines.{label} is {entry!r:.80}; write one backend, e.g. "
            "`{vllm: {model: models/qwen}}`"
        )
    ((name, options),) = entry.items()
    cls = spec_class(str(name))
    try:
        return cls.model_validate(options or {})
    except ValidationError as error:
        raise RecipeError(f"engines.{label}.{name}: {explain(error, cls)}") from None
    except RecipeError as error:
        raise RecipeError(f"engines.{label}.{name}: {error}") from None
