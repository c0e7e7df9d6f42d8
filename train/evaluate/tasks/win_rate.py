"""win_rate: which of two models answers prompts better, by a verifier or a reward model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Source, dataset_of
from train.evaluate.prompts import WritingTask, judged, prompt_rows
from train.evaluate.results import ITEM_HOST, Item, Measured
from train.evaluate.spec import register_task
from train.spec.init import model_files

if TYPE_CHECKING:
    from train.evaluate.bench import Bench
    from train.evaluate.generate import Completion

TIE = 1e-9


@register_task("win_rate")
class WinRateTask(WritingTask):
    """`{win_rate: {data: prompts/open, against: models/sft, reward: models/reward}}`.

    A judge of words is a synth recipe: its rows come by `judged`, with `id` and a column `wins`
    from 0 to 1: whether this model's answer won, 0.5 for a tie.
    """

    data: str | None = None
    against: Source | None = None  # the model that it is compared with
    where: str | None = None
    limit: int | None = Field(None, ge=1)
    verifier: str | None = None  # `row`: what each row names
    reward: Source | None = None  # a model of kind reward
    judged: str | None = None
    column: str = "wins"

    @model_validator(mode="after")
    def _one_judge(self) -> WinRateTask:
        judges = [self.verifier, self.reward, self.judged]
        if sum(judge is not None for judge in judges) != 1:
            raise RecipeError("win_rate needs one of `verifier`, `reward` and `judged`")
        if self.judged is None and (self.data is None or self.against is None):
            raise RecipeError("win_rate needs `data` (prompts) and `against` (the other model)")
        return self

    def inputs(self) -> list[str]:
        models = [dataset_of(one) for one in (self.against, self.reward) if one is not None]
        return [ref for ref in (self.data, self.judged, *models) if ref]

    def files(self) -> list[str]:
        return model_files(self.against) + model_files(self.reward)

    def measure(self, bench: Bench) -> Measured:
        if self.judged is not None:
            return _summary(_given(bench, self.judged, self.column), bench.seed)
        assert self.data is not None and self.against is not None
        rows = prompt_rows(bench, self.data, self.where, self.limit)
        prompts = [str(row["prompt"]) for row in rows]
        ours = self.write(bench, prompts)
        theirs = self.write(bench.other(self.against), prompts)
        both = [
            place
            for place in range(len(rows))
            if ours[place] is not None and theirs[place] is not None
        ]
        if not both:
            raise RecipeError(f"{self.title}: no prompt of {self.data!r} fits both models")
        kept = [rows[place] for place in both]
        pairs = [(ours[place] or [], theirs[place] or []) for place in both]
        marks = [self._marks(bench, kept, [pair[side] for pair in pairs]) for side in (0, 1)]
        items = []
        for row, pair, mine, other in zip(kept, pairs, *marks, strict=True):
            for number, completion in enumerate(pair[0]):
                items.append(
                    Item(
                        str(row.get("id")), _won(mine[number], other[number]), "win_rate",
                        sample=number, prompt=str(row["prompt"]), completion=completion.text,
                        answer=pair[1][number].text, tokens=len(completion.tokens),
                        finished=completion.finished, host=row.get(ITEM_HOST),
                        meta={"mark": mine[number], "other": other[number]},
                    )
                )  # fmt: skip
        found = _summary(items, bench.seed)
        if len(both) < len(rows):
            found.notes.append(f"{len(rows) - len(both)} of {len(rows)} prompts are too long")
        return found

    def _marks(
        self, bench: Bench, rows: Sequence[dict[str, Any]], written: Sequence[list[Completion]]
    ) -> list[list[float]]:
        """A number for each completion of each row."""
        if self.reward is not None:
            return _rewards(bench, self.reward, rows, written)
        return [
            [
                judged(self._verifier(row), one.text, str(row.get("answer") or ""), row["prompt"])
                for one in completions
            ]
            for row, completions in zip(rows, written, strict=True)
        ]

    def _verifier(self, row: dict[str, Any]) -> str:
        name = row.get("verifier") if self.verifier == "row" else self.verifier
        if not name:
            raise RecipeError(f"row {row.get('id')!r} names no verifier; write `verifier: NAME`")
        return str(name)


def _rewards(
    bench: Bench, source: Source, rows: Sequence[dict[str, Any]],
    written: Sequence[list[Completion]],
) -> list[list[float]]:  # fmt: skip
    from train.job import model_folder
    from train.rl.prompts import Prompt
    from train.rl.reward_model import RewardModel

    model = RewardModel(model_folder(source, bench.store, bench.inputs), str(source))
    found = []
    for row, completions in zip(rows, written, strict=True):
        prompt = Prompt([], str(row["prompt"]), "", "", str(row.get("id")))
        found.append(model([prompt] * len(completions), [one.text for one in completions]))
    return found


def _given(bench: Bench, ref: str, column: str) -> list[Item]:
    """Judgements that a synth recipe made."""
    dataset = bench.dataset(ref)
    names = dataset.must_have_rows().schema.names
    if column not in names:
        raise RecipeError(f"{dataset.ref} has no column {column!r}; it has {', '.join(names)}")
    rows = dataset.to_table().to_pylist()
    return [
        Item(str(row.get("id", number)), float(row[column]), "win_rate", prompt=row.get("prompt"))
        for number, row in enumerate(rows)
        if row[column] is not None
    ]


def _won(ours: float, theirs: float) -> float:
    """1, or 0, or a half for a tie."""
    if abs(ours - theirs) <= TIE:
        return 0.5
    return float(ours > theirs)


def _summary(items: list[Item], seed: int) -> Measured:
    from train.evaluate.answers import scored
    from train.evaluate.intervals import bootstrap, share

    by_prompt: dict[str, list[float]] = {}
    for item in items:
        by_prompt.setdefault(item.item, []).append(item.score)
    if not by_prompt:
        raise RecipeError("win_rate: there is no judgement to count")
    means = [sum(values) / len(values) for values in by_prompt.values()]
    ties = sum(item.score == 0.5 for item in items)
    return Measured(
        [
            scored("win_rate", bootstrap(means, seed), "higher"),
            scored("ties", share(ties, len(items)), "neither"),
        ],
        items,
    )
