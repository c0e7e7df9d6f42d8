"""procedural: drawn tasks with exact answers, endless and never in the training data by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from synth.procedural.tasks import parameters_of, parse_source
from train.evaluate.prompts import WritingTask
from train.evaluate.results import Measured
from train.evaluate.spec import register_task
from train.evaluate.tasks.rows import check_ks

if TYPE_CHECKING:
    from train.evaluate.bench import Bench


@register_task("procedural")
class ProceduralTask(WritingTask):
    """`{procedural: {task: sums, count: 200, parameters: {digits: 2}}}`."""

    task: str
    count: int = Field(100, ge=1)
    parameters: dict[str, Any] = Field(default_factory=dict)
    seed: int | None = Field(None, ge=0)  # default: the step's; take another than training's
    pass_at: tuple[int, ...] = ()
    max_tokens: int = Field(32, ge=1)

    @classmethod
    def from_scalar(cls, value: Any) -> ProceduralTask:
        return cls.model_validate({"task": value})

    @model_validator(mode="after")
    def _drawn(self) -> ProceduralTask:
        parse_source({"task": self.task, "count": self.count, "parameters": self.parameters})
        parameters_of(self.task, self.parameters)
        return self

    @property
    def title(self) -> str:
        return self.label or self.task

    def check(self) -> None:
        super().check()
        check_ks(self.pass_at, self.samples)

    def measure(self, bench: Bench) -> Measured:
        from train.evaluate.answers import verified

        source = parse_source(
            {"task": self.task, "count": self.count, "parameters": self.parameters}
        )
        rows = list(source.rows(seed=bench.seed if self.seed is None else self.seed))
        written = self.write(bench, [str(row["prompt"]) for row in rows])
        return verified(rows, written, None, self.pass_at, None)
