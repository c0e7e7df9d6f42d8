"""The op `rules`: a rule set over the signals of its segment.

In: signals. Out: failures, nothing else. Shown by: `- rules: {set: gopher_quality, min_words: 30}`.
Limit: thresholds are numbers; null leaves a rule out.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pydantic import ConfigDict, model_validator

from curation.ops import Apply, Op, OpResult, Signals, register_op
from curation.rules.model import RuleSet, evaluate
from curation.rules.registry import rule_set


@register_op("rules")
class Rules(Op):
    """`set` names a rule set; every other key is a rule of it with its new threshold."""

    model_config = ConfigDict(extra="allow", frozen=True)
    set: str

    @model_validator(mode="after")
    def _check(self) -> Rules:
        self.chosen()  # unknown sets and rules are errors before anything runs
        return self

    def chosen(self) -> RuleSet:
        """The set with this op's thresholds."""
        extra: dict[str, Any] = self.model_extra or {}
        return rule_set(self.set, extra)

    def drops(self) -> bool:
        return bool(self.chosen().rules)

    def families(self) -> frozenset[str]:
        return frozenset(self.chosen().families)

    def open(self) -> Apply:
        chosen = self.chosen()

        def apply(table: pa.Table, signals: Signals) -> OpResult:
            return OpResult(failures=evaluate(chosen, signals))

        return apply
