"""Four real sources, mixed by each heuristic and by a fitted law: the reports side by side.

In: Gristmill's test data (web pages, novels, news, worked maths). Out: `four/` with the cut sources
and a store with five mixtures; on the terminal their shares, and what a proxy of each reaches.
Shown by: `python -m pipelines.demo.four_sources --data ../shared/data`.
Limit: the proxies are bigram models, which train in a second each; small transformers, in a recipe
alone: pipelines/recipes/train/swarm.yaml.

Every tenth document of a source is held out of the proxies and is what their losses are measured
on. All proxies go on from one model of the natural mixture, as micro-anneals do: half of a proxy's
tokens are natural, the others in the shares of its run.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from gristmill import GristmillError, Store, run
from gristmill.mapped import Tokens, open_tokens
from mixtures.blend.report import WHOLE
from mixtures.tokens.tokenizers import load_tokenizer

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
SOURCES = ("web", "novels", "news", "maths")
HEURISTICS = ("natural", "uniform", "temperature", "unimax")
FILES: dict[str, tuple[str, tuple[str, ...]]] = {  # below --data: file, fields that make a text
    "web": ("text/c4_demo.jsonl.gz", ("text",)),
    "novels": ("text/eltec_eng_15novels.jsonl.gz", ("text",)),
    "news": ("text/masakhanews_8lang.jsonl.gz", ("text",)),
    "maths": ("benchmarks/gsm8k_train.jsonl.gz", ("question", "answer")),
}
HELD_OUT = 10  # every tenth document
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Pairs of tokens in some documents: key first * vocabulary + second, sorted, with counts."""

    keys: I64
    counts: F64

    @property
    def total(self) -> float:
        return float(self.counts.sum())


def main(argv: list[str] | None = None) -> int:
    """Cut, mix, fit, report; 0 when all is done."""
    options = argparse.ArgumentParser(prog="python -m pipelines.demo.four_sources")
    options.add_argument("--data", type=Path, required=True, help="the test data")
    options.add_argument("--dir", type=Path, default=Path("four"), help="where to (default: four)")
    options.add_argument("--megabytes", type=float, default=4.0, help="of text a source, at most")
    options.add_argument("--budget", type=int, default=4_000_000, help="tokens of each mixture")
    options.add_argument("--workers", type=int, default=None)
    asked = options.parse_args(argv)
    out = Console() if sys.stdout.isatty() else Console(width=110)
    try:
        chosen: dict[str, Any] = cut(asked.data, asked.dir, round(asked.megabytes * 1e6))
        chosen |= {"budget": asked.budget, "proxy_budget": asked.budget // 10}
        store = Store(asked.dir / "store")
        run(str(RECIPES / "four_sources.yaml"), store=store, set=chosen, workers=asked.workers)
        chosen["losses"] = str(train_proxies(store, asked.dir / "losses.csv"))
        fitted = RECIPES / "four_sources_fitted.yaml"
        run(str(fitted), store=store, set=chosen, workers=asked.workers)
    except GristmillError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    out.print(compared(store))
    out.print(f"More: gristmill mixture mix/fitted --store {asked.dir / 'store'}", markup=False)
    return 0


def cut(data: Path, folder: Path, size: int) -> dict[str, Any]:
    """Write `<source>.jsonl` of the first `size` bytes of text each; source -> file."""
    folder.mkdir(parents=True, exist_ok=True)
    made = {}
    for source, (name, fields) in FILES.items():
        path, left = folder / f"{source}.jsonl", size
        with open(path, "w", encoding="utf-8") as file:
            for row in _rows(data / name):
                text = "\n".join(row[field] for field in fields)
                file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
                left -= len(text.encode())
                if left <= 0:
                    break
        made[source] = str(path)
    return made


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        raise GristmillError(f"no file {path}: --data is the folder of Gristmill's test data")
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def train_proxies(store: Store, table: Path) -> Path:
    """Train a proxy for each run of the swarm; write its losses on each source's held-out text."""
    proxies = Proxies(store)
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["run", *SOURCES])
        for row in store["mix/swarm"].to_table().to_pylist():
            writer.writerow([row["run"], *(f"{nats:.5f}" for nats in proxies.losses(row))])
    return table


class Proxies:
    """Bigram models of any mixture of the four sources."""

    def __init__(self, store: Store) -> None:
        tokens = {source: open_tokens(store[f"tokens/{source}"]) for source in SOURCES}
        self._size = load_tokenizer(store["tok/bpe"]).vocab_size
        self._seen = {s: pairs(of, self._size, held_out=False) for s, of in tokens.items()}
        self._held = {s: pairs(of, self._size, held_out=True) for s, of in tokens.items()}
        self._budget = float(store["mix/swarm"].build()["config"]["proxy_budget"])

    def losses(self, shares: Mapping[str, float]) -> list[float]:
        """Nats a token on each source's held-out text, of a proxy trained on these shares."""
        natural = 1 / sum(of.total for of in self._seen.values())
        factors = {
            source: self._budget * (natural + shares[source] / self._seen[source].total) / 2
            for source in SOURCES
        }
        model = merged(self._seen, factors)
        return [loss(model, self._held[source], self._size) for source in SOURCES]


def read(tokens: Tokens, first: int, step: int) -> I64:
    """Tokens of documents first, first + step, …, end to end."""
    documents = range(first, tokens.documents, step)
    parts = [tokens.read(document).astype(np.int64) for document in documents]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def pairs(tokens: Tokens, size: int, held_out: bool) -> Counts:
    """Pairs of neighbouring tokens in the held-out documents, or in all others."""
    starts = [0] if held_out else range(1, HELD_OUT)
    flat = np.concatenate([read(tokens, first, HELD_OUT) for first in starts])
    keys, counts = np.unique(flat[:-1] * size + flat[1:], return_counts=True)
    return Counts(keys, counts.astype(np.float64))


def merged(seen: Mapping[str, Counts], factors: Mapping[str, float]) -> Counts:
    """Counts of all sources, each times its factor."""
    used = [source for source in seen if factors[source] > 0]
    keys, place = np.unique(np.concatenate([seen[s].keys for s in used]), return_inverse=True)
    weights = np.concatenate([seen[s].counts * factors[s] for s in used])
    return Counts(keys, np.bincount(place, weights, len(keys)).astype(np.float64))


def loss(model: Counts, text: Counts, size: int) -> float:
    """Nats a token: bigrams that back off to unigrams (Witten and Bell), and those to uniform."""
    first, second = model.keys // size, model.keys % size
    single = np.bincount(second, model.counts, size)
    kinds = np.bincount(first, np.minimum(model.counts, 1), size)
    context = np.bincount(first, model.counts, size)
    alone = (single + 0.1) / (single.sum() + 0.1 * size)
    place = np.minimum(np.searchsorted(model.keys, text.keys), len(model.keys) - 1)
    pair = np.where(model.keys[place] == text.keys, model.counts[place], 0.0)
    before, after = text.keys // size, text.keys % size
    backed = kinds[before] + 1e-3
    chance = (pair + backed * alone[after]) / (context[before] + backed)
    return float(-(text.counts @ np.log(chance)) / text.total)


def compared(store: Store) -> Table:
    """Shares and epochs of every mixture, and what a proxy of those shares reaches."""
    names = [*HEURISTICS, "fitted"]
    table = Table(title="Shares of the tokens (epochs)", title_justify="left")
    for column in ("source", "tokens", *names):
        table.add_column(column, justify="left" if column == "source" else "right")
    found = {}
    for name in names:
        rows = store[f"mix/{name}"].output(".report").to_table().to_pylist()
        found[name] = {row["source"]: row for row in rows if row["stage"] == WHOLE}
    for source in SOURCES:
        of = [found[name][source] for name in names]
        shares = [f"{row['observed_tokens']:.1%} ({row['epochs']:.1f})" for row in of]
        table.add_row(source, f"{of[0]['unique_tokens']:,}", *shares)
    table.add_section()
    table.add_row("proxy, nats a token", "", *(f"{nats:.4f}" for nats in means(store, names)))
    return table


def means(store: Store, names: Sequence[str]) -> list[float]:
    """Mean loss over the four sources of a proxy of each mixture's shares."""
    proxies, found = Proxies(store), []
    for name in names:
        rows = store[f"mix/{name}"].output(".report").to_table().to_pylist()
        shares = {r["source"]: r["observed_tokens"] for r in rows if r["stage"] == WHOLE}
        found.append(float(np.mean(proxies.losses(shares))))
    return found


if __name__ == "__main__":
    sys.exit(main())
