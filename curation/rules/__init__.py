"""Rule sets as data, with dialects; a new rule is one line in a YAML file beside this."""

from curation.rules.model import Rule, RuleSet, evaluate
from curation.rules.registry import known, rule_set

__all__ = ["Rule", "RuleSet", "evaluate", "known", "rule_set"]
