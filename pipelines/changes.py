"""What is asked differently than in the newest build: the keys, with both values.

In: a step and what is asked of it now. Out: a line for `gristmill plan`.
Shown by: `gristmill plan RECIPE --set web/unique.threshold=0.7`.
Limit: the newest build only; an older one may be nearer.
"""

from __future__ import annotations

from typing import Any

from gristmill.asked import flat
from gristmill.ids import short
from gristmill.step import Step
from gristmill.store import Store
from pipelines.fingerprint import Asked

MOST = 4  # keys told with their values
WIDE = 40  # characters of a value


def explain_change(store: Store, step: Step, asked: Asked) -> str:
    """Why a step is not built: never was, or what differs from its newest build."""
    builds = store.builds(step.name)
    if not builds:
        return "never built"
    last = builds[-1]
    if last["fingerprint"] == asked.fingerprint:
        return "its files are gone from the store"
    changed = []
    if last["config"] != asked.config:
        changed.append(f"config: {_keys(last['config'], asked.config)}")
    if last["parents"] != asked.parents:
        changed.append(f"input: {', '.join(asked.parents)}")
    if [f["digest"] for f in last["files"]] != [f["digest"] for f in asked.digests.values()]:
        changed.append("files")
    if last["packages"] != asked.packages:
        changed.append(f"packages: {_keys(last['packages'], asked.packages)}")
    return f"changed since {short(last['fingerprint'])}: " + ("; ".join(changed) or "step's code")


def _keys(before: dict[str, Any], now: dict[str, Any]) -> str:
    """`optim.lr 0.001 -> 0.002`, for each key that differs."""
    old, new = flat(before), flat(now)
    keys = [key for key in sorted({*old, *new}) if old.get(key, "") != new.get(key, "")]
    told = [f"{key} {_value(old, key)} -> {_value(new, key)}" for key in keys[:MOST]]
    return ", ".join(told) + (f" and {len(keys) - MOST} more" if len(keys) > MOST else "")


def _value(values: dict[str, Any], key: str) -> str:
    if key not in values:
        return "(none)"
    text = str(values[key])
    return text if len(text) <= WIDE else f"{text[:WIDE]}…"
