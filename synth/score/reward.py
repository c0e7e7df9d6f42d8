"""Score reward: what a reward model gives a conversation or a text.

In: an item's conversation, or fields. Out: the model's number in `reward`.
Shown by: `gristmill run pipelines/recipes/synth/committee.yaml`.
Limit: the number is on the model's own scale; compare it only with others of the same model.

`minus` names a field with another reward, which is subtracted: Magpie (Xu et al. 2024,
arXiv:2406.08464) keeps a response by r - r_base, r_base being the reward of a base model's response
to the same instruction; score that response first, `into: base_reward`.
"""

from __future__ import annotations

import pyarrow as pa
from pydantic import model_validator

from synth.calls import Call, Failure, Message, Reward
from synth.items import Item, Row
from synth.ops import Running, SynthOp, register_op
from synth.values import number_of, text_of


@register_op("score.reward")
class RewardScore(SynthOp):
    """Ask a reward model. Without `of` and `user`, for the conversation that the item has had."""

    engine: str = "reward"
    of: str | None = None  # a field with a text, given as it is
    user: str | None = None  # fields with a request ...
    assistant: str = "response"  # ... and the answer to it
    minus: str | None = None  # a field with a number to subtract
    into: str = "reward"

    @model_validator(mode="after")
    def _one_form(self) -> RewardScore:
        if self.of is not None and self.user is not None:
            raise ValueError("reward takes a text (`of`) or a conversation (`user`), not both")
        return self

    def engines(self) -> list[str]:
        return [self.engine]

    def fields(self) -> dict[str, pa.DataType]:
        return {self.into: pa.float64()}

    def run(self, items: list[Item], row: Row) -> Running:
        asked: list[tuple[Item, float]] = []
        calls: list[Call] = []
        for item in items:
            less = 0.0 if self.minus is None else number_of(item, self.minus, row, self.NAME)
            call = None if less is None else self._call(item, row)
            if less is not None and call is not None:
                asked.append((item, less))
                calls.append(call)
        if not calls:
            return []
        kept = []
        for (item, less), answer in zip(asked, (yield calls), strict=True):
            if isinstance(answer, Failure):
                row.fail(self.NAME, answer.reason, answer.detail)
                continue
            item.fields[self.into] = float(answer.value) - less
            kept.append(item)
        return kept

    def _call(self, item: Item, row: Row) -> Reward | None:
        if self.of is not None:
            text = text_of(item, self.of, row, self.NAME)
            return None if text is None else Reward(self.engine, text=text)
        if self.user is not None:
            user = text_of(item, self.user, row, self.NAME)
            answer = None if user is None else text_of(item, self.assistant, row, self.NAME)
            if user is None or answer is None:
                return None
            turns: tuple[Message, ...] = (
                {"role": "user", "content": user},
                {"role": "assistant", "content": answer},
            )
            return Reward(self.engine, messages=turns)
        if not item.messages:
            row.fail(self.NAME, "missing", "no conversation; name fields as `user` and `assistant`")
            return None
        return Reward(self.engine, messages=item.messages)
