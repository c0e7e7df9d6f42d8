"""copy: a random string from far back, said again: what a model needs before any long context."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from pydantic import Field

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed
from train.evaluate.grid import GridTask, grid_scores
from train.evaluate.intervals import mean
from train.evaluate.results import Item, Measured
from train.evaluate.spec import register_task
from train.evaluate.tasks.needle import hits

if TYPE_CHECKING:
    from train.evaluate.bench import Bench


@dataclass(frozen=True, slots=True)
class Case:
    """One row of tokens; the last `span` of them are the second copy."""

    row: list[int]
    length: int
    depth: float
    sample: int


@register_task("copy")
class CopyTask(GridTask):
    """`tokens_right`: of the second copy, behind its first `cue` tokens; `whole`: all of them, as
    greedy writing would have them. All tokens are random: there is nothing else to go by."""

    span: int = Field(16, ge=2)
    cue: int = Field(4, ge=1)  # tokens of the second copy that are given

    def check(self) -> None:
        if self.cue >= self.span or 2 * self.span + 2 > min(self.lengths):
            raise RecipeError(
                f"{self.title}: cue {self.cue}, span {self.span}, lengths {list(self.lengths)}: "
                "a cue is shorter than its span, and two spans and 2 tokens fit the shortest length"
            )

    def measure(self, bench: Bench) -> Measured:
        self.check_fits(bench)
        found, asked = Measured(), self.span - self.cue
        cases = self.cases(bench)
        for case, one in zip(cases, bench.judge([case.row for case in cases]), strict=True):
            right = one.right[-asked:]
            name = f"{case.length}-{case.depth:g}-{case.sample}"
            for metric, score in (
                ("tokens_right", float(right.mean())),
                ("whole", float(right.all())),
            ):
                found.items.append(
                    Item(
                        name, score, metric, sample=case.sample, tokens=asked, length=case.length,
                        depth=case.depth, meta={"nats": round(float(one.nats[-asked:].sum()), 6)},
                    )
                )  # fmt: skip
        found.scores += grid_scores(found.items, "tokens_right", "higher", mean)
        found.scores += grid_scores(found.items, "whole", "higher", hits)
        return found

    def cases(self, bench: Bench) -> list[Case]:
        """Rows of every cell: random tokens, the string at its depth, random tokens, the string."""
        backend = bench.rendering.tokenizer.backend_tokenizer
        special = {
            number for number, one in backend.get_added_tokens_decoder().items() if one.special
        }
        usual = sorted(set(backend.get_vocab(with_added_tokens=True).values()) - special)
        start = bench.rendering.start_ids
        made = []
        for length, depth in self.cells:
            for sample in range(self.samples):
                seed = derive_seed(bench.seed, self.title, length, f"{depth:g}", sample)
                draw = Random(seed).random
                size = length - self.span - len(start)
                row = [usual[int(draw() * len(usual))] for _ in range(size)]
                at = round(depth * (size - self.span))
                string = row[at : at + self.span]
                made.append(Case([*start, *row, *string], length, depth, sample))
        return made
