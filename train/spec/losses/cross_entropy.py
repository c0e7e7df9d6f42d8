"""cross_entropy: next tokens; the loss of pre-training and of SFT."""

from __future__ import annotations

from typing import Any, ClassVar

from train.spec.loss import LossSpec, register_loss


@register_loss("cross_entropy")
class CrossEntropy(LossSpec):
    """-log p of the next token, a mean over the counted tokens of a step."""

    KINDS: ClassVar[frozenset[str]] = frozenset({"pretrain", "sft", "distill"})

    def open(self) -> Any:
        from train.losses.cross_entropy import objective

        return objective
