"""Rules as data: a signal or a ratio of two, a comparison, a threshold.

In: signals of a batch. Out: for each rule which rows fail, and the value that each row had.
Shown by: `gristmill sweep web/clean --set gopher_quality.min_words=30`.
Limit: a rule looks at one number; what needs more is two rules, or another signal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curation.ops import Failure
from gristmill.errors import RecipeError, nearest

_KEEPS = {
    ">=": np.greater_equal,
    ">": np.greater,
    "<=": np.less_equal,
    "<": np.less,
}


@dataclass(frozen=True, slots=True)
class Rule:
    """Keep a text when `value keep threshold`; one line in a set's file."""

    name: str
    value: str | tuple[str, str]  # a signal, or (numerator, denominator: a signal or a number)
    keep: str  # ">=", ">", "<=", "<"
    threshold: float
    reason: str
    empty: float = 0.0  # the ratio where the denominator is 0

    def measure(self, signals: Mapping[str, np.ndarray]) -> np.ndarray:
        """float64 per row: the number that is compared."""
        if isinstance(self.value, str):
            return np.asarray(signals[self.value], np.float64)
        top = np.asarray(signals[self.value[0]], np.float64)
        if self.value[1].isdigit():
            return top / float(self.value[1])
        bottom = np.asarray(signals[self.value[1]], np.float64)
        safe = np.where(bottom == 0, 1.0, bottom)
        return np.where(bottom == 0, self.empty, top / safe)

    def signals(self) -> tuple[str, ...]:
        names = (self.value,) if isinstance(self.value, str) else self.value
        return tuple(name for name in names if not name.isdigit())

    def text(self) -> str:
        """As it is written in the set's file."""
        value = self.value if isinstance(self.value, str) else " / ".join(self.value)
        return f"{value} {self.keep} {self.threshold:g}"


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules tried in order; the first that fails is the reason, all that fail are kept."""

    name: str
    dialect: str
    families: tuple[str, ...]  # signal families that the rules read
    rules: tuple[Rule, ...]
    source: str

    @property
    def ref(self) -> str:
        return f"{self.name}@{self.dialect}"

    def with_thresholds(self, thresholds: Mapping[str, float | None]) -> RuleSet:
        """Other thresholds by rule name; None leaves a rule out. RecipeError: unknown name."""
        known = {rule.name for rule in self.rules}
        for name, value in thresholds.items():
            if name not in known:
                raise RecipeError(f"{self.ref} has no rule {name!r}{nearest(name, known)}")
            if value is not None and not _is_threshold(value):
                raise RecipeError(
                    f"{self.ref}.{name} is {value!r}; a threshold is a number or null"
                )
        kept = [rule for rule in self.rules if thresholds.get(rule.name, 0.0) is not None]
        changed = [
            replace(rule, threshold=float(thresholds.get(rule.name, rule.threshold) or 0.0))
            for rule in kept
        ]
        return replace(self, rules=tuple(changed))


def _is_threshold(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value)


def evaluate(rule_set: RuleSet, signals: Mapping[str, np.ndarray]) -> list[Failure]:
    """One Failure a rule, in the set's order. A nan signal (not measured) fails no rule."""
    found = []
    for rule in rule_set.rules:
        value = rule.measure(signals)
        with np.errstate(invalid="ignore"):
            fails = ~_KEEPS[rule.keep](value, rule.threshold) & ~np.isnan(value)
        found.append(Failure(f"{rule_set.name}.{rule.name}", fails, value, rule.threshold))
    return found
