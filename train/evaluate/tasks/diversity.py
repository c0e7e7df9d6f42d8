"""diversity: how different a model's samples are, how long, and how many never end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field

from train.evaluate.intervals import mean, share
from train.evaluate.prompts import WritingTask, prompt_rows
from train.evaluate.results import ITEM_HOST, Item, Measured, Score
from train.evaluate.spec import register_task

if TYPE_CHECKING:
    from train.evaluate.bench import Bench

REPEATS = 4  # words of a run that counts as said before


@register_task("diversity")
class DiversityTask(WritingTask):
    """`{diversity: {data: prompts/open, samples: 4}}`: sampled, not greedy."""

    data: str
    where: str | None = None
    limit: int | None = Field(None, ge=1)
    samples: int = Field(4, ge=1)
    temperature: float | None = Field(1.0, ge=0)

    @classmethod
    def from_scalar(cls, value: Any) -> DiversityTask:
        return cls.model_validate({"data": value})

    def inputs(self) -> list[str]:
        return [self.data]

    def measure(self, bench: Bench) -> Measured:
        from train.evaluate.answers import scored

        rows = prompt_rows(bench, self.data, self.where, self.limit)
        found, texts = Measured(), list[str]()
        for row, several in zip(
            rows, self.write(bench, [str(row["prompt"]) for row in rows]), strict=True
        ):
            for number, one in enumerate(several or ()):
                texts.append(one.text)
                found.items.append(
                    Item(
                        str(row.get("id")), repeated(one.text), "self_repetition", sample=number,
                        prompt=str(row["prompt"]), completion=one.text, tokens=len(one.tokens),
                        finished=one.finished, host=row.get(ITEM_HOST),
                    )
                )  # fmt: skip
        if len(rows) * self.samples > len(texts):
            lost = len(rows) - len(texts) // self.samples
            found.notes.append(f"{lost} of {len(rows)} prompts do not fit the model: left out")
        if not texts:
            return found
        cut = sum(not item.finished for item in found.items)
        found.scores = [
            *(Score(f"distinct_{n}", distinct(texts, n), len(texts), "higher") for n in (1, 2, 3)),
            scored("self_repetition", mean([i.score for i in found.items]), "lower"),
            scored("tokens", mean([float(i.tokens or 0) for i in found.items]), "neither"),
            scored("truncated", share(cut, len(texts)), "lower"),
        ]
        return found


def distinct(texts: Sequence[str], n: int) -> float:
    """Different n-grams of words among all of them (Li et al. 2016, arXiv:1510.03055).

    It falls as texts grow longer: compare models at the same prompts, samples and max_tokens.
    """
    grams = [gram for text in texts for gram in _grams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def repeated(text: str, n: int = REPEATS) -> float:
    """Part of a text's n-grams of words that it has said before."""
    grams = list(_grams(text, n))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def _grams(text: str, n: int) -> Iterator[tuple[str, ...]]:
    words = text.split()
    return (tuple(words[at : at + n]) for at in range(len(words) - n + 1))
