"""The plan of a mixture: rows of tokens, each a pure function of (mixture, position)."""

from mixtures.plan.rows import Place, Plan, open_plan

__all__ = ["Place", "Plan", "open_plan"]
