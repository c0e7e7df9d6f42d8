"""checkpoint: one model out of models, without training: averages, merges, surgery.

In: models of the store, ./folders, or {hub, revision}. Out: kind `model`, as `from_pretrained`
reads it; `.report`, a row a tensor. Shown by:
`- {name: models/mean, use: checkpoint, average: {of: [models/a, models/b]}}`.
Limit: memory is a few tensors in float64, the largest of the models among them.

The same inputs give the same bytes: sums are in float64 and draws from (seed, tensor's name).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import field_serializer, field_validator, model_validator

from gristmill.errors import RecipeError
from gristmill.step import Ahead, Output, Phase, Step, StepRun, Task
from mixtures.tokens.tokenizer_sources import Source, check_source, dataset_of
from train.job import model_folder
from train.models.sizes import sizes_of
from train.planned import config_at
from train.weights.folder import BESIDE, Folder, read_folder
from train.weights.op import WeightOp, parse_op


class Checkpoint(Step):
    """One operation on checkpoints, under its own name."""

    VERSION: ClassVar[int] = 1

    op: WeightOp  # a recipe writes its name and options: `average: {of: […]}`
    seed: int = 0  # of dare, upcycle and random pruning

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, given: Any) -> Any:
        """`average: {…}` for `op: {average: {…}}`."""
        if not isinstance(given, dict) or "op" in given:
            return given
        own = {key: value for key, value in given.items() if key in cls.model_fields}
        return {**own, "op": {key: value for key, value in given.items() if key not in own}}

    @field_validator("op", mode="before")
    @classmethod
    def _parse_op(cls, entry: Any) -> WeightOp:
        return parse_op(entry)

    @field_serializer("op")
    def _dump_op(self, op: WeightOp) -> dict[str, Any]:
        return {op.NAME: op.model_dump(mode="json")}

    def inputs(self) -> list[str]:
        refs = (dataset_of(source) for source in self.op.sources())
        return list(dict.fromkeys(ref for ref in refs if ref is not None))

    def files(self) -> list[str]:
        return list(dict.fromkeys(self.op.files()))

    def limited(self) -> bool:
        return False

    def packages(self) -> list[str]:
        return ["torch"]

    def config(self) -> dict[str, Any]:
        found = super().config()
        op: dict[str, Any] = found.pop("op")
        return {**found, **op}

    def check(self) -> None:
        for source in self.op.sources():
            check_source(source)
        try:
            self.op.check()
        except RecipeError as error:
            raise RecipeError(f"op {self.op.NAME!r}: {error}") from None

    def forecast(self, ahead: Ahead) -> dict[str, Any]:
        first = config_at(self.op.sources()[0], ahead)
        sizes = sizes_of(self.op.planned(first)) if first else None
        return {"parameters": sizes.parameters if sizes else None}

    def outputs(self) -> dict[str, Output]:
        return {
            "": Output("model", "weights, config and tokenizer, as `from_pretrained` reads them"),
            ".report": Output("rows", "each tensor: its norm, distance, share kept"),
        }

    def phases(self, run: StepRun) -> Iterator[Phase]:
        versions = {name: dataset.ref for name, dataset in run.inputs.items()}
        folders = [
            _opened(self.op, place, source, run, versions)
            for place, source in enumerate(self.op.sources())
        ]
        layout = self.op.layout(folders)  # raises here what does not fit, before torch is imported
        size = sum(entry.bytes for entry in layout.tensors.values())
        from train.weights.task import make  # imports torch when it runs, not now

        args = {"op": self.op, "folders": folders, "seed": self.seed}
        yield Phase("make", [Task("model", make, args, size)], unit="B", workers=1)
        facts = run.records("make")[0].value["facts"]
        run.facts |= facts
        for note in self.op.notes(facts):
            run.note(note)


def _opened(
    op: WeightOp, place: int, source: Source, run: StepRun, versions: dict[str, str]
) -> Folder:
    path = op.inner(place, model_folder(source, run.store, versions))
    if (path / BESIDE).is_dir() and not op.ADAPTERS:
        raise RecipeError(
            f"{source} has an adapter beside its weights, which {op.NAME} would lose; bring it "
            f"into them first: `lora_merge: {{of: {source}}}`"
        )
    label = source if isinstance(source, str) else f"{source.hub}@{source.revision[:8]}"
    return read_folder(path, label)
