"""Goodput: of the tokens that models wrote for a dataset, which were kept and where the rest went.

In: a build record of a `synthesize` step. Out: rows of {became, tokens, share}, and the seconds.
Shown by: `gristmill show synth/qa`. Limit: what judges wrote counts as `unused`: it is in no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def goodput(build: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Kept tokens first, then what was lost, most first; empty for steps without models."""
    facts = build.get("facts", {}).get("goodput")
    if not facts or not facts["completion_tokens"]:
        return []
    total = facts["completion_tokens"]
    lost = sorted(facts["lost_tokens"].items(), key=lambda pair: (-pair[1], pair[0]))
    told = [("kept", facts["kept_tokens"]), *lost]
    return [{"became": n, "tokens": t, "share": round(t / total, 6)} for n, t in told]


def seconds(build: Mapping[str, Any]) -> dict[str, float]:
    """Where the time of the step's tasks went, most first."""
    facts = build.get("facts", {}).get("goodput") or {}
    found: dict[str, float] = facts.get("seconds", {})
    return dict(sorted(found.items(), key=lambda pair: -pair[1]))
