"""needle: a fact at some depth of a long context, asked for at its end (needle in a haystack)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

from pydantic import Field

from gristmill.errors import RecipeError
from gristmill.rng import derive_seed
from train.evaluate import haystack
from train.evaluate.grid import GridTask, grid_scores
from train.evaluate.intervals import Estimate, share
from train.evaluate.results import Item, Measured
from train.evaluate.spec import register_task

if TYPE_CHECKING:
    from train.evaluate.bench import Bench

SPARE = 2  # tokens that greedy writing gets beyond the answer's own


@dataclass(frozen=True, slots=True)
class Case:
    """One context: `prompt` has exactly `length` tokens."""

    needle: haystack.Needle
    prompt: list[int]
    choices: list[list[int]]  # the answer first
    length: int
    depth: float
    sample: int


@register_task("needle")
class NeedleTask(GridTask):
    """`chosen`: the answer is likelier than all other candidates (chance: 1 in `candidates`);
    `written`: greedy writing begins with it."""

    candidates: int = Field(10, ge=2)

    def measure(self, bench: Bench) -> Measured:
        self.check_fits(bench)
        found = Measured()
        cases = list(self.cases(bench))
        for length in self.lengths:
            found.items += _judged(bench, self.title, [c for c in cases if c.length == length])
        for metric in ("chosen", "written"):
            found.scores += grid_scores(found.items, metric, "higher", hits)
        return found

    def cases(self, bench: Bench) -> Iterator[Case]:
        """Contexts of every cell; the same for any model of the same tokenizer."""
        backend = bench.rendering.tokenizer.backend_tokenizer

        def encode(text: str) -> list[int]:
            return list(backend.encode(text, add_special_tokens=False).ids)

        for length, depth in self.cells:
            for sample in range(self.samples):
                seed = derive_seed(bench.seed, self.title, length, f"{depth:g}", sample)
                random = Random(seed)
                drawn = haystack.needle(random, self.candidates)
                prompt = context(encode, drawn, length, depth, random, bench.rendering.start_ids)
                choices = [encode(choice) for choice in (drawn.answer, *drawn.others)]
                yield Case(drawn, prompt, choices, length, depth, sample)


def context(
    encode: Callable[[str], list[int]], drawn: haystack.Needle, length: int, depth: float,
    random: Random, start: list[int],
) -> list[int]:  # fmt: skip
    """Sentences, the fact at its depth, sentences, the question: exactly `length` tokens."""
    fact, question = encode(drawn.fact), encode(drawn.question)
    room = length - len(fact) - len(question) - len(start)
    if room < 0:
        raise RecipeError(
            f"needle: length {length} has no room for the fact and its question, "
            f"{length - room} tokens together; ask for longer contexts"
        )
    before = round(room * depth)
    return [*start, *_hay(encode, random, before), *fact, *_hay(encode, random, room - before),
            *question]  # fmt: skip


def _hay(encode: Callable[[str], list[int]], random: Random, tokens: int) -> list[int]:
    """So many tokens of sentences; the last sentence is cut."""
    found: list[int] = []
    while len(found) < tokens:
        found += encode(haystack.sentence(random))
    return found[:tokens]


def _judged(bench: Bench, title: str, cases: list[Case]) -> list[Item]:
    from synth.calls import Sampling

    ranked = bench.rank([case.prompt for case in cases], [case.choices for case in cases])
    longest = max(len(case.choices[0]) for case in cases) + SPARE
    prompts = [case.prompt for case in cases]
    written = bench.write(prompts, Sampling(longest, temperature=0.0), title)
    items = []
    for case, scores, ((said,)) in zip(cases, ranked, written, strict=True):
        answer, place = case.needle.answer.strip(), f"{case.length}-{case.depth:g}-{case.sample}"
        chosen = float(all(scores[0] > other for other in scores[1:]))
        wrote = float(said.text.strip().startswith(answer))
        for metric, score in (("chosen", chosen), ("written", wrote)):
            items.append(
                Item(
                    place, score, metric, sample=case.sample, prompt=case.needle.question.strip(),
                    completion=said.text, answer=answer, tokens=case.length, length=case.length,
                    depth=case.depth, meta={"fact": case.needle.fact.strip()},
                )
            )  # fmt: skip
    return items


def hits(values: list[float]) -> Estimate:
    """A share of items, each 0 or 1."""
    return share(sum(values), len(values))
