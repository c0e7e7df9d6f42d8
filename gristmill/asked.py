"""Asked: what two versions were made from differently, in their own build records and before them.

In: two datasets. Out: rows of {step, key, a, b}, the earliest step first.
Shown by: `gristmill diff web/final@4f3a web/final`.
Limit: steps before are matched by name; where several builds gave a version, the newest speaks.
"""

from __future__ import annotations

from typing import Any

from gristmill.errors import StoreError
from gristmill.lineage import at, lineage
from gristmill.store import Dataset

Changes = list[dict[str, Any]]  # step, key, a, b


def asked_differently(a: Dataset, b: Dataset) -> Changes:
    """Keys of the build records that differ (config, inputs, packages); earlier steps' first.

    Earlier steps are looked at only where the parents differ; one that a single side has shows its
    `use` alone.
    """
    try:
        before, after = a.build(), b.build()
    except StoreError:
        return []  # a version that no build names: `verify` says so
    names = list(dict.fromkeys([before["name"], after["name"]]))
    earlier = _earlier(a, b, names) if before["parents"] != after["parents"] else []
    return earlier + _changes(" → ".join(names), before, after)


def _earlier(a: Dataset, b: Dataset, ends: list[str]) -> Changes:
    """What differs in the steps that led to `a` and `b`."""
    lines = [{made.ref.partition("@")[0]: made for made in lineage(d)} for d in (a, b)]
    found: Changes = []
    for name in dict.fromkeys([*lines[1], *lines[0]]):
        old, new = (line.get(name) for line in lines)
        if name in ends and (len(ends) == 1 or not (old and new)):
            continue  # the versions themselves
        if old is None or new is None:
            uses = {"a": old.use if old else None, "b": new.use if new else None}
            found.append({"step": name, "key": "use", **uses})
        elif old.ref != new.ref and old.fingerprint and new.fingerprint:
            found += _changes(name, at(a, old.ref).build(), at(b, new.ref).build())
    return found


def _changes(step: str, a: dict[str, Any], b: dict[str, Any]) -> Changes:
    before, after = flat(_asked(a)), flat(_asked(b))
    return [
        {"step": step, "key": key, "a": before.get(key), "b": after.get(key)}
        for key in sorted({*before, *after})
        if before.get(key) != after.get(key)
    ]


def _asked(build: dict[str, Any]) -> dict[str, Any]:
    keys = ("use", "config", "parents", "packages", "seed")
    files = {
        f["pattern"]: {k: f.get(k) for k in ("digest", "count")} for f in build.get("files", [])
    }
    return {**{key: build.get(key) for key in keys}, "files": files}


def flat(value: Any, prefix: str = "", lists: bool = True) -> dict[str, Any]:
    """`{"ops.0.rules": "c4"}` for nested mappings, and for lists unless they stay whole."""
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif lists and isinstance(value, list):
        items = [(str(index), item) for index, item in enumerate(value)]
    else:
        return {prefix: value}
    found: dict[str, Any] = {}
    for key, item in items:
        found |= flat(item, f"{prefix}.{key}" if prefix else key, lists)
    return found
