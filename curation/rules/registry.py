"""The register of rule sets: `name` or `name@dialect` -> RuleSet.

In: the YAML files beside this one, one a set, and other thresholds. Out: a RuleSet.
Shown by: `python -m curation.rules.registry`, which prints every set.
Limit: a dialect's signals share one prefix, which its rules leave out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from curation.rules.model import Rule, RuleSet
from gristmill.errors import RecipeError, nearest

# signal [/ signal or number] comparison number; reason
_RULE = re.compile(r"(\w+)(?: / (\w+))? (>=|>|<=|<) ([\d.]+); (.+)")


def rule_set(ref: str, overrides: Mapping[str, float | None] | None = None) -> RuleSet:
    """The set of that name, with thresholds changed.

    Without a dialect it is `@paper`, or the only dialect there is. RecipeError: unknown names.
    """
    sets = _sets()
    found = sets.get(ref) or sets.get(f"{ref}@paper")
    if found is None:
        dialects = [known for known in sets.values() if known.name == ref]
        if len(dialects) != 1:
            raise RecipeError(f"no rule set {ref!r}{nearest(ref, sets)}")
        found = dialects[0]
    return found.with_thresholds(overrides) if overrides else found


def known() -> list[str]:
    """All sets as `name@dialect`."""
    return sorted(_sets())


@cache
def _sets() -> dict[str, RuleSet]:
    found: dict[str, RuleSet] = {}
    for path in sorted(Path(__file__).parent.glob("*.yaml")):
        for dialect, entry in yaml.safe_load(path.read_text(encoding="utf-8")).items():
            read = _read(path.stem, str(dialect), entry)
            found[read.ref] = read
    return found


def _read(name: str, dialect: str, entry: Mapping[str, Any]) -> RuleSet:
    prefix = entry.get("prefix", "")
    rules = [_rule(f"{name}@{dialect}", key, line, prefix) for key, line in entry["rules"].items()]
    return RuleSet(name, dialect, tuple(entry["families"]), tuple(rules), entry["source"])


def _rule(ref: str, name: str, line: str, prefix: str) -> Rule:
    found = _RULE.fullmatch(line)
    if found is None:
        raise ValueError(f"{ref}.{name}: {line!r} is not `signal [/ signal] >= number; reason`")
    top, bottom, comparison, threshold, reason = found.groups()
    value: str | tuple[str, str] = prefix + top
    if bottom:
        value = (prefix + top, bottom if bottom.isdigit() else prefix + bottom)
    return Rule(name, value, comparison, float(threshold), reason)


if __name__ == "__main__":
    for ref in known():
        print(f"{ref}  ({rule_set(ref).source})")
        for rule in rule_set(ref).rules:
            print(f"  {rule.name:30} {rule.text()}")
