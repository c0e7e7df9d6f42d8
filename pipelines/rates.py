"""How fast each kind of step is, and what it keeps: for forecasts.

In: a store and a step. Out: Rates of the newest build of such a step, else defaults.
Shown by: `gristmill plan pipelines/recipes/fineweb.yaml`, column forecast.
Limit: of two models that write, the larger is taken to be as fast as the smaller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gristmill.step import Step
from gristmill.store import Store

ENOUGH_ROWS = 1000  # of a build that tells a rate …
ENOUGH_SECONDS = 10.0  # … or, where models write, core seconds


@dataclass(frozen=True, slots=True)
class Rates:
    """Per kind of step, measured in the store's build records or the defaults below."""

    documents_per_file_byte: float = 1 / 13_000  # a gzipped page of a WARC file
    kept: float = 1.0
    text_bytes_per_document: float = 4_500.0
    documents_per_core_second: float = 20_000.0
    bytes_per_text_byte: float = 0.5  # zstd Parquet with its ledger
    measured: bool = False


# Defaults where the store has no build of the kind: docs/RESULTS.md, order of magnitude only.
DEFAULTS = {
    "curate": Rates(kept=0.35, documents_per_core_second=300, bytes_per_text_byte=1.0),
    "minhash_dedup": Rates(kept=0.6, documents_per_core_second=8_000),
    "exact_dedup": Rates(kept=0.9, documents_per_core_second=60_000),
    "decontaminate": Rates(kept=0.998, documents_per_core_second=20_000),
    "train_tokenizer": Rates(kept=0.0, documents_per_core_second=400),
    "synthesize": Rates(kept=0.8, documents_per_core_second=0.5),  # one GPU as a core: a 7B model
    "tokenize": Rates(documents_per_core_second=700),  # two bytes for 4.2 of text
}


def measured_rates(store: Store, step: Step) -> Rates:
    """Rates of the newest build of this kind of step in the store, else the defaults."""
    default = DEFAULTS.get(step.use, Rates())
    newest: dict[str, Any] | None = None
    for name in store.names():
        for build in store.builds(name):
            later = newest is None or build["created_at"] > newest["created_at"]
            if later and build["use"] == step.use and _tells(build, step):
                newest = build
    if newest is None:
        return default
    seen = newest["rates"]
    rows_in, rows_out = seen["rows_in"], seen["rows_out"]
    text = seen["text_bytes_out"]
    per_byte = rows_in / seen["file_bytes_in"] if seen["file_bytes_in"] else 0.0
    return Rates(
        per_byte or default.documents_per_file_byte,
        rows_out / rows_in,
        text / rows_out if rows_out and text else default.text_bytes_per_document,
        rows_in / max(seen["core_seconds"], 1e-3),
        seen["bytes_out"] / text if text else default.bytes_per_text_byte,
        True,
    )


def _tells(build: Mapping[str, Any], step: Step) -> bool:
    """Whether a build is long enough for a rate, and asks models where the step does."""
    asks = [bool(config.get("engines")) for config in (build["config"], step.config())]
    enough = build["rates"]["rows_in"] >= ENOUGH_ROWS
    return asks[0] == asks[1] and (
        enough or (asks[0] and build["rates"]["core_seconds"] >= ENOUGH_SECONDS)
    )
