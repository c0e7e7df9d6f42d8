"""loss: held-out loss, perplexity and bits per byte, by source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from gristmill.errors import RecipeError
from train.evaluate.results import Measured
from train.evaluate.spec import TaskSpec, register_task

if TYPE_CHECKING:
    from train.evaluate.bench import Bench


@register_task("loss")
class LossTask(TaskSpec):
    """`{loss: mix/valid}`: a mixture, tokens, or documents (for models of different tokenizers)."""

    data: str
    where: str | None = None  # SQL over the columns of documents or tokens
    rows: int | None = Field(None, ge=1)  # the first so many of the data
    by: str = "source"  # a column of documents or tokens, scored apart; a mixture has its sources
    length: int | None = Field(None, ge=2)  # tokens read at once; default: all that the model can
    stride: int | None = Field(None, ge=1)  # of longer texts; default: length - 1, nothing twice
    # What stands before a document, so that its first token is predicted too. auto: what the
    # tokenizer puts there itself; without any, the first token's bytes are not counted.
    start: Literal["auto", "eos", "none"] = "auto"

    @classmethod
    def from_scalar(cls, value: Any) -> LossTask:
        return cls.model_validate({"data": value})

    def inputs(self) -> list[str]:
        return [self.data]

    def packages(self) -> list[str]:
        return ["tokenizers"]

    def check(self) -> None:
        if self.stride and self.length and self.stride >= self.length:
            raise RecipeError(
                f"{self.title}: stride {self.stride} leaves the first token of every window of "
                f"{self.length} without context; choose a stride below {self.length}"
            )

    def measure(self, bench: Bench) -> Measured:
        from train.evaluate.held_out import of_documents, of_plan, of_tokens

        kind = bench.dataset(self.data).manifest["kind"]
        if kind == "packed":
            return of_plan(self, bench)
        if kind == "tokens":
            return of_tokens(self, bench)
        if "text" in bench.dataset(self.data).must_have_rows().schema.names:
            return of_documents(self, bench)
        raise RecipeError(
            f"loss over {self.data!r}, rows of kind {kind}: name a mixture, tokens, or documents "
            "with a column `text`"
        )
