"""kd_on_policy: the student writes, the teacher's distribution at each token is the target."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field

from train.spec.loss import LossSpec, register_loss


@register_loss("kd_on_policy")
class OnPolicy(LossSpec):
    """Agarwal et al. 2023 (arXiv:2306.13649), as in Gemma 2: a mean over the written tokens."""

    KINDS: ClassVar[frozenset[str]] = frozenset({"distill"})

    beta: float = Field(default=0.5, ge=0, le=1)  # 0: KL(T || S); 1: KL(S || T); between: JSD

    def open(self) -> Any:
        from train.rl.objective import on_policy_objective

        return on_policy_objective(self)
