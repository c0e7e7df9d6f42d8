"""Lineage and drop funnel: what a dataset was made from, and what each step let through.

In: a dataset. Out: steps, ancestors first; rows in, kept and dropped by reason.
Shown by: `gristmill lineage web/final` and `gristmill show web/final`.
Limit: where several builds gave a version, the newest is followed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gristmill.store import Dataset

LOST = frozenset(
    {"dropped", "filtered", "failed", "pending"}
)  # states of rows that went no further
Cell = tuple[str, str | None, str | None, int]  # state, op, reason, rows of a ledger


@dataclass(frozen=True, slots=True)
class Made:
    """One step of a lineage: a build record and the datasets on both its sides."""

    ref: str  # of its main output
    use: str
    fingerprint: str
    parents: tuple[str, ...]
    files: tuple[Mapping[str, Any], ...]  # pattern, count, bytes, digest
    outputs: Mapping[str, str]
    rows: int | None  # None: the version is gone
    created_at: str
    seconds: float | None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def lineage(dataset: Dataset) -> list[Made]:
    """Every step that led to a version, ancestors first, each once.

    A parent without a build record (removed, or copied in by hand) ends its line: it is listed
    with use "unknown".
    """
    steps: dict[str, Made] = {}
    _visit(dataset, steps, set())
    return list(steps.values())


def _visit(dataset: Dataset, steps: dict[str, Made], under_way: set[str]) -> None:
    # Not recursive: a long pre-training schedule may chain a thousand versions.
    stack: list[tuple[Dataset, Made, Iterator[str]]] = []

    def enter(next_one: Dataset) -> None:
        made = _made(next_one)
        if made.ref not in steps and made.ref not in under_way:
            under_way.add(made.ref)
            stack.append((next_one, made, iter(made.parents)))

    enter(dataset)
    while stack:
        current, made, parents = stack[-1]
        parent = next(parents, None)
        if parent is None:
            stack.pop()
            steps[made.ref] = made
        else:
            enter(at(current, parent))


def at(near: Dataset, ref: str) -> Dataset:
    """The dataset of an exact `name@version`, whether or not it is still there."""
    name, _, version = ref.partition("@")
    return Dataset(near.store, name, version)


def _made(dataset: Dataset) -> Made:
    found = dataset.store.builds_of(dataset)
    there = (dataset.path / ".manifest.json").exists()
    if not found:
        rows = dataset.rows if there else None
        return Made(dataset.ref, "unknown", "", (), (), {}, rows, "", None)
    build = found[-1]
    outputs: dict[str, str] = build["outputs"]
    main = Dataset(dataset.store, build["name"], outputs.get(build["name"], dataset.version))
    return Made(
        ref=main.ref,
        use=str(build.get("use", "unknown")),
        fingerprint=str(build["fingerprint"]),
        parents=tuple(build.get("parents", [])),
        files=tuple(build.get("files", [])),
        outputs=outputs,
        rows=main.rows if (main.path / ".manifest.json").exists() else None,
        created_at=str(build.get("created_at", "")),
        seconds=build.get("seconds"),
    )


def ledger_of(near: Dataset, made: Made) -> Dataset | None:
    """The ledger that a step wrote, if it wrote one and it is still there."""
    name = made.ref.partition("@")[0] + ".ledger"
    if name not in made.outputs:
        return None
    found = at(near, f"{name}@{made.outputs[name]}")
    return found if (found.path / ".manifest.json").exists() else None


def funnel(dataset: Dataset) -> list[dict[str, Any]]:
    """What every step let through: rows of {step, state, op, reason, rows, share}.

    Each step opens with state "in" and closes with "kept"; between them what it dropped, edited or
    flagged, most first. `share` is of the step's input. From manifests, without a scan, where they
    tell reasons apart.
    """
    rows: list[dict[str, Any]] = []
    for made in lineage(dataset):
        ledger = ledger_of(dataset, made)
        if ledger is None:
            rows.append(_line(made.ref, "kept", None, None, made.rows or 0, made.rows or 0))
            continue
        total = ledger.rows
        cells = sorted(_cells(ledger), key=lambda cell: (-cell[3], *map(str, cell[2::-1])))
        rows.append(_line(made.ref, "in", None, None, total, total))
        kept = sum(count for state, _, _, count in cells if state not in LOST)
        for state, op, reason, count in cells:
            if state != "kept":
                rows.append(_line(made.ref, state, op, reason, count, total))
        rows.append(_line(made.ref, "kept", None, None, kept, total))
    return rows


def _line(
    ref: str, state: str, op: str | None, reason: str | None, rows: int, total: int
) -> dict[str, Any]:
    return {
        "step": ref,
        "state": state,
        "op": op,
        "reason": reason,
        "rows": rows,
        "share": round(rows / total, 6) if total else None,
    }


def _cells(ledger: Dataset) -> list[Cell]:
    """From the manifest where its counts, one column at a time, leave no doubt."""
    counts = ledger.manifest["totals"]["counts"]
    states, reasons, ops = (counts.get(name) for name in ("state", "reason", "step_op"))
    if states is not None and set(states) <= {"kept"}:
        return [("kept", None, None, int(states.get("kept", 0)))]
    if states is not None and reasons is not None and ops is not None:
        given = [(reason, n) for reason, n in reasons.items() if reason]
        named = [op for op in ops if op]
        dropped = int(states.get("dropped", 0))
        plain = set(states) <= {"kept", "dropped"} and sum(n for _, n in given) == dropped
        if plain and len(named) == 1:
            told = [("dropped", named[0], reason, int(n)) for reason, n in given]
            return [*told, ("kept", None, None, int(states.get("kept", 0)))]
    return _scanned(ledger)


def _scanned(ledger: Dataset) -> list[Cell]:
    """By a scan of three dictionary-encoded columns, for ledgers of several ops."""
    from gristmill.query import connect, source

    return [
        (str(state), op, reason, int(rows))
        for state, op, reason, rows in connect(ledger.store)
        .execute(f"select state, step_op, reason, count(*) from {source(ledger)} group by all")
        .fetchall()
    ]
