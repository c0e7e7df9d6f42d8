"""kd_top1, kd_topk, kd_full: a teacher's first choice, most probable tokens, or whole distribution.

In: `loss: {kd_top1: {weight: 0.9}}`. Out: a loss. Shown by: `gristmill plan`.
Limit: student and teacher have one tokenizer.

The teacher is stored, as rows of kind `teacher` (`score_tokens` writes them), or lives: a model of
the store that the stage names as `teacher`, asked while the student learns.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from gristmill.errors import RecipeError
from train.spec.loss import LossSpec, register_loss

Live = Callable[[Any], Any]  # a micro-batch -> the teacher's logits [b, t, v]


class Distill(LossSpec):
    """What the losses against a teacher share."""

    KINDS: ClassVar[frozenset[str]] = frozenset({"distill"})
    weight: float = Field(default=1.0, ge=0, le=1)  # of the teacher; the true labels have the rest

    def open(self, live: Live | None = None) -> Any:
        """The computation; live: asks the teacher, where none is stored."""
        from train.losses.distill import objective

        return objective(self.against(live), self.weight)

    def against(self, live: Live | None) -> Any:
        """What the student is held against: train.losses.distill.Against."""
        raise RecipeError(f"loss {self.NAME!r} has no against()")

    def check_live(self) -> None:
        """RecipeError where a live teacher cannot be asked so."""

    def check_stored(self) -> None:
        """RecipeError where rows of kind `teacher` are not enough."""


@register_loss("kd_top1")
class Top1(Distill):
    """AFM (arXiv:2407.21075): 0.9 of the teacher's first choice, 0.1 of the true token."""

    weight: float = Field(default=0.9, ge=0, le=1)

    def against(self, live: Live | None) -> Any:
        from train.losses.distill import top1_nats

        if live is None:
            return lambda logits, batch: {"teacher": top1_nats(logits, batch["top_ids"][..., 0])}

        def asked(logits: Any, batch: Any) -> Any:
            best = live(batch).argmax(dim=-1).roll(1, dims=1)  # said at i - 1, of token i
            return {"teacher": top1_nats(logits, best)}

        return asked


@register_loss("kd_topk")
class TopK(Distill):
    """The k most probable tokens, or k that were drawn (Gemma 2, arXiv:2408.00118 §3: a sampled
    subset of the teacher's vocabulary)."""

    k: int | None = Field(default=None, ge=1)  # of a live teacher; rows have as many as they have
    subset: Literal["top", "drawn"] = "top"
    rest: Literal["drop", "bin"] = "drop"  # of top: the other tokens; bin: as one token more
    proposal: float = Field(default=1.0, gt=0)  # temperature of the draws
    temperature: float = Field(default=1.0, gt=0)

    @model_validator(mode="after")
    def _fitting(self) -> TopK:
        if self.temperature != 1 and (self.rest == "bin" or self.subset == "drawn"):
            raise RecipeError(
                f"loss kd_topk: temperature is {self.temperature}; with `rest: bin` and `subset: "
                "drawn` it is 1, since the probabilities that were stored are of temperature 1"
            )
        return self

    def check_live(self) -> None:
        if self.k is None or self.subset == "drawn":
            raise RecipeError(
                "loss kd_topk with a live teacher takes its most probable tokens: say how many, "
                "`loss: {kd_topk: {k: 64}}`"
            )

    def check_stored(self) -> None:
        if self.k is not None:
            raise RecipeError(
                "loss kd_topk: `k` is of a live teacher (`teacher: models/large`); rows of kind "
                "teacher have as many tokens as `score_tokens: {top: …}` told"
            )

    def against(self, live: Live | None) -> Any:
        from train.losses.distill import drawn_nats, topk_nats

        def held(logits: Any, ids: Any, logprobs: Any) -> Any:
            if self.subset == "drawn":
                return {"teacher": drawn_nats(logits, ids, logprobs, self.proposal)}
            return {"teacher": topk_nats(logits, ids, logprobs, self.rest, self.temperature)}

        if live is None:
            return lambda logits, batch: held(logits, batch["top_ids"], batch["top_logprobs"])
        assert self.k is not None  # check_live
        k = self.k

        def asked(logits: Any, batch: Any) -> Any:
            told = live(batch).float().log_softmax(dim=-1).roll(1, dims=1)
            logprobs, ids = told.topk(min(k, told.shape[-1]), dim=-1)
            return held(logits, ids, logprobs)

        return asked


@register_loss("kd_full")
class Full(Distill):
    """Gemma 2 (arXiv:2408.00118): -sum P_T log P_S over the whole vocabulary."""

    temperature: float = Field(default=1.0, gt=0)

    def check_stored(self) -> None:
        raise RecipeError(
            "loss kd_full needs the teacher itself: `teacher: models/large`; from rows of kind "
            "teacher, which hold its most probable tokens, `loss: kd_topk` learns"
        )

    def against(self, live: Live | None) -> Any:
        from train.losses.distill import entropy, full_nats

        assert live is not None  # check_stored

        def asked(logits: Any, batch: Any) -> Any:
            told = live(batch)[..., : logits.shape[-1]]
            return {
                "teacher": full_nats(logits[..., : told.shape[-1]], told, self.temperature),
                "teacher_entropy": entropy(told),
            }

        return asked
