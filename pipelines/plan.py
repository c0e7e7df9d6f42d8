"""The planner: what would run, what is built already and why the rest is not, and what it will
cost.

In: a recipe and a store. Out: one entry a step, in order; nothing is run or written.
Shown by: `gristmill plan pipelines/recipes/fineweb.yaml`.
Limit: forecasts scale linearly from the newest build of the same kind of step, else from defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from gristmill.errors import GristmillError
from gristmill.step import BYTES_A_TOKEN, Ahead, Step
from gristmill.store import Dataset, Store
from pipelines.ahead import absent, check_ahead, makers
from pipelines.changes import explain_change
from pipelines.fingerprint import Asked, ask
from pipelines.inputs import built
from pipelines.rates import Rates, measured_rates
from pipelines.recipe import Recipe, load_recipe

OWN_ROW = 200.0  # bytes of a row that a step's own source makes


@dataclass(frozen=True, slots=True)
class Amount:
    """How much data: documents, bytes of text, and its tokens at 4.2 bytes a token."""

    documents: float
    text_bytes: float

    @property
    def tokens(self) -> float:
        return self.text_bytes / BYTES_A_TOKEN


@dataclass(frozen=True, slots=True)
class Planned:
    """One step as `gristmill plan` shows it."""

    name: str
    use: str
    reads: list[str]
    state: str  # "built", "to build"
    why: str
    documents: int
    tokens: int
    core_hours: float
    disk_bytes: int
    measured: bool  # the forecast comes from this store's own builds
    stage: dict[str, Any] = field(default_factory=dict)  # of training: train.forecast.Forecast
    warning: str = ""  # what would stop `run` and does not stop `plan`: packages not installed

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan_recipe(
    recipe: str | Path,
    *,
    store: str | Path | Store = "store",
    set: Mapping[str, Any] | None = None,
    profile: str | None = None,
    limit: int | None = None,
) -> list[Planned]:
    """Plan a recipe; raises what `run_recipe` would raise before its first task."""
    loaded = load_recipe(recipe, set, profile)
    place = store if isinstance(store, Store) else Store(store)
    plans: dict[str, Planned] = {}
    amounts: dict[str, Amount] = {}
    versions: dict[str, str] = {}
    names = {step.name for step in loaded.steps}
    makes = makers(loaded.steps)
    for step in loaded.steps:
        if _declared(step) is None:
            check_ahead(step, place, names, makes)
        planned, amount = _plan_step(step, loaded, place, amounts, versions, limit)
        known = {name: (amount.documents, amount.tokens) for name, amount in amounts.items()}
        told = step.forecast(Ahead(place, makes, versions, known))
        if step.outputs()[""].kind == "model":
            amount = Amount(0, 0)  # weights are not read as data
            if planned.state != "built":
                planned = _of_model(planned, told)
        elif told and planned.state != "built":
            planned = replace(planned, **told)
            amount = Amount(planned.documents, planned.tokens * BYTES_A_TOKEN)
        if planned.state != "built":
            planned = replace(planned, warning=absent(step))
        plans[step.name] = planned
        for suffix, output in step.outputs().items():
            main = output.kind == step.outputs()[""].kind
            amounts[step.name + suffix] = amount if main else Amount(0, 0)
    return list(plans.values())


def _of_model(planned: Planned, stage: Mapping[str, Any]) -> Planned:
    """A step that gives weights: what its own forecast says, not the rates of data."""
    return replace(
        planned,
        documents=0,
        tokens=stage.get("tokens") or 0,
        core_hours=round(stage.get("device_hours") or 0.0, 6),
        disk_bytes=4 * (stage.get("parameters") or 0),
        stage=dict(stage),
    )


def _plan_step(
    step: Step,
    recipe: Recipe,
    store: Store,
    amounts: Mapping[str, Amount],
    versions: dict[str, str],
    limit: int | None,
) -> tuple[Planned, Amount]:
    waiting = [ref for ref in step.inputs() if _name(ref) in amounts and _name(ref) not in versions]
    rates = measured_rates(store, step)
    declared = _declared(step)
    if waiting or declared:
        known = [
            amounts[_name(ref)] if ref in waiting else _stored(store, ref, versions)
            for ref in step.inputs()
        ]
        given = declared or _sum([*known, _own(step)])
        why = f"{waiting[0]} is to be built" if waiting else "its source is declared, not there"
        return _forecast(step, "to build", why, given, rates)
    inputs = {}
    for ref in step.inputs():
        name = _name(ref)
        inputs[ref] = Dataset(store, name, versions[name]) if name in versions else store[ref]
    asked = ask(step, store, inputs, limit)
    if found := built(store, step.name, asked.fingerprint, refresh=False):
        versions.update(found)
        dataset = Dataset(store, step.name, found[step.name])
        totals = dataset.manifest["totals"]
        record = store.build(step.name, asked.fingerprint) or {}
        tokens = record.get("facts", {}).get("tokens", 0)  # of a step that gives tokens, not text
        amount = Amount(totals["rows"], totals["text_bytes"] or tokens * BYTES_A_TOKEN)
        shown = Planned(
            step.name, step.use, _reads(step), "built", found[step.name], totals["rows"],
            int(amount.tokens), 0.0, totals["bytes"], True,
        )  # fmt: skip
        return shown, amount
    given = _sum([_given(asked, inputs, rates), _own(step)])
    if limit is not None and asked.files:
        given = Amount(min(given.documents, limit), given.text_bytes)
    return _forecast(step, "to build", explain_change(store, step, asked), given, rates)


def _forecast(
    step: Step, state: str, why: str, given: Amount, rates: Rates
) -> tuple[Planned, Amount]:
    out = Amount(given.documents * rates.kept, given.documents * rates.kept * _size(given, rates))
    shown = Planned(
        step.name, step.use, _reads(step), state, why, round(out.documents), round(out.tokens),
        round(given.documents / rates.documents_per_core_second / 3600, 6),
        round(out.text_bytes * rates.bytes_per_text_byte), rates.measured,
    )  # fmt: skip
    return shown, out


def _reads(step: Step) -> list[str]:
    """Datasets, then the patterns of files."""
    return [*step.inputs(), *step.files()]


def _size(given: Amount, rates: Rates) -> float:
    if given.text_bytes and given.documents:
        return given.text_bytes / given.documents
    return rates.text_bytes_per_document


def _given(asked: Asked, inputs: Mapping[str, Dataset], rates: Rates) -> Amount:
    """What a step whose inputs are there will read."""
    datasets = [d.manifest["totals"] for d in inputs.values()]
    if datasets:
        return _sum([Amount(t["rows"], t["text_bytes"]) for t in datasets])
    size = sum(file.size for files in asked.files.values() for file in files)
    return Amount(size * rates.documents_per_file_byte, 0.0)


def _stored(store: Store, ref: str, versions: Mapping[str, str]) -> Amount:
    """What a dataset that is there holds."""
    name = _name(ref)
    dataset = Dataset(store, name, versions[name]) if name in versions else store[ref]
    totals = dataset.manifest["totals"]
    return Amount(totals["rows"], totals["text_bytes"])


def _own(step: Step) -> Amount:
    """Rows that its own source makes; a draw of a task is a sentence or two, not a page."""
    rows = step.own_rows() or 0
    return Amount(rows, rows * OWN_ROW)


def _declared(step: Step) -> Amount | None:
    """`from: {…, declare: {documents: n, tokens: n}}`: data that is not there yet."""
    source = getattr(step, "from_", None)
    declared = source.get("declare") if isinstance(source, dict) else None
    if declared is None:
        return None
    try:
        return Amount(
            float(declared["documents"]), float(declared.get("tokens", 0)) * BYTES_A_TOKEN
        )
    except (TypeError, KeyError, ValueError, AttributeError):
        raise GristmillError(
            f"step {step.name!r}: declare is {declared!r}; it takes documents and tokens, "
            "e.g. {documents: 3e9, tokens: 2e12}"
        ) from None


def _sum(amounts: list[Amount]) -> Amount:
    return Amount(sum(a.documents for a in amounts), sum(a.text_bytes for a in amounts))


def _name(ref: str) -> str:
    return ref.partition("@")[0]
