"""rows: prompts with exact answers, judged by verifiers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from gristmill.errors import RecipeError
from synth.verify import IN_SANDBOX, verifier
from train.evaluate.prompts import WritingTask, prompt_rows
from train.evaluate.results import Measured
from train.evaluate.spec import register_task

if TYPE_CHECKING:
    from train.evaluate.bench import Bench


def check_ks(ks: tuple[int, ...], samples: int) -> None:
    """Raise RecipeError for a k that the samples cannot tell of."""
    if ks and max(ks) > samples:
        raise RecipeError(f"pass_at {max(ks)} needs as many samples; samples is {samples}")


@register_task("rows")
class RowsTask(WritingTask):
    """`{rows: prompts/maths}` or `{rows: {data: prompts/maths, samples: 8, pass_at: [1, 8]}}`."""

    data: str
    where: str | None = None  # SQL over its columns
    limit: int | None = Field(None, ge=1)  # the first so many rows
    verifier: str | None = None  # default: what each row names
    by: str | None = None  # a column whose values are scored apart
    pass_at: tuple[int, ...] = ()

    @classmethod
    def from_scalar(cls, value: Any) -> RowsTask:
        return cls.model_validate({"data": value})

    @field_validator("verifier")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        if value is not None and value != IN_SANDBOX:
            verifier(value)
        return value

    def inputs(self) -> list[str]:
        return [self.data]

    def packages(self) -> list[str]:
        return ["math-verify", "sympy"]

    def check(self) -> None:
        super().check()
        check_ks(self.pass_at, self.samples)

    def measure(self, bench: Bench) -> Measured:
        from train.evaluate.answers import verified

        rows = prompt_rows(bench, self.data, self.where, self.limit)
        written = self.write(bench, [str(row["prompt"]) for row in rows])
        return verified(rows, written, self.verifier, self.pass_at, self.by)
