"""Claim: tokenising into the store costs at most 10 % more than the tokenizers library's own rate.

In: random pages of the shared crawl; a byte-level BPE of 32,000 tokens trained on others of them.
Out: `.bench/results/tokenizing.json`. Shown by: `python -m bench.tokenizing --size full`.
Limit: start-up of the whole step (processes, imports) is measured on a few documents and taken off;
the library has no start-up here, and its two threads share one process.
"""

from __future__ import annotations

import json
from pathlib import Path

from bench import corpora
from bench.harness import Claim, Measurement, Row, Side, interleave, main, net, ratio_row

RECIPE = str(Path(__file__).parent / "recipes" / "tokenizing.yaml")
TARGET = 0.9  # of the library's rate


def tokenizer(megabytes: float, vocabulary: int = 32_000) -> Path:
    """A tokenizer.json trained on a sample of the pages."""
    from mixtures.tokens.train_tokenizer import TrainTokenizer, train

    path, temporary, there = corpora.fresh_path(f"bpe-{vocabulary}-{megabytes:g}mb.json")
    if there:
        return path
    given = {"name": "bpe", "use": "train_tokenizer", "from": "x", "vocab_size": vocabulary}
    step = TrainTokenizer.model_validate(given)
    pages = (row["text"] for row in corpora.rows(corpora.sample(corpora.web(), megabytes)))
    train(step, ([page] for page in pages)).save(str(temporary))
    return corpora.publish(path, temporary)


def files(source: Path, count: int) -> list[Path]:
    """The documents of a JSONL file as so many Parquet files: as many tasks."""
    made = []
    rows = list(corpora.rows(source))
    for number in range(count):
        path, temporary, there = corpora.fresh_path(f"{source.stem}-{number}of{count}.jsonl")
        if not there:
            lines = (json.dumps(row, ensure_ascii=False) for row in rows[number::count])
            temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
            corpora.publish(path, temporary)
        made.append(corpora.parquet(path))
    return made


def step_side(name: str, parquet: list[Path], encoder: Path) -> Side:
    """`gristmill run` of the step alone, with two workers."""
    options = {
        "recipe": RECIPE,
        "variables": {"documents": [str(path) for path in parquet], "tokenizer": str(encoder)},
        "workers": 2,
        "built": ["docs/all"],
    }
    return Side(name, "bench.sides.gristmill_runs:open_recipe", options, pinned=False)


def memory_row(seen: Measurement) -> Row:
    peak = seen.peak_rss_mb
    return Row("peak memory of one task", peak, peak, peak, "MB", 1500, True)


def claim(size: str, rounds: int) -> Claim:
    """One core: our task and the library. Two cores: our step and the library's threads."""
    full = size == "full"
    encoder = tokenizer(8 if full else 0.5)
    some = corpora.sample(corpora.web(), 8 if full else 0.5)
    many = corpora.web() if full else some
    library = "bench.sides.tokenizing:open_library"
    one = {"path": str(some), "tokenizer": str(encoder)}
    two = {"path": str(many), "tokenizer": str(encoder), "threads": 2}
    task = {"parquet": str(corpora.parquet(some)), "tokenizer": str(encoder)}
    few = files(corpora.sample(corpora.web(), 0.05), 2)
    seen = interleave(
        [
            Side("gristmill, one task", "bench.sides.tokenizing:open_task", task),
            Side("tokenizers", library, one),
            Side("tokenizers, arrays of ids", library, {**one, "ids": True}),
            step_side("gristmill, 2 workers", files(many, 8), encoder),
            step_side("gristmill start-up", few, encoder),
            Side("tokenizers, 2 threads", library, two, pinned=False),
        ],
        rounds,
    )
    ours = seen["gristmill, one task"]
    documents = ours.result["documents"]
    made = ours.result["tokens"] - documents
    assert made == seen["tokenizers"].result["tokens"], "EOS aside, the tokens are the same"
    whole = net(seen["gristmill, 2 workers"], seen["gristmill start-up"])
    work = "tokenise"
    rows = [
        ratio_row(
            f"{work}, one core, Parquet in to shards out / tokenizers.encode_batch_fast",
            seen["tokenizers"], ours, TARGET,
            f"{made / ours.median / 1e6:.2f} million tokens a second",
        ),
        ratio_row(
            f"{work}, one core / tokenizers and arrays of its ids",
            seen["tokenizers, arrays of ids"], ours, TARGET,
        ),
        ratio_row(
            f"{work}, two workers, start-up apart / tokenizers with two threads",
            seen["tokenizers, 2 threads"], whole, TARGET,
        ),
        ratio_row(
            f"{work}, two workers, start-up included / tokenizers with two threads",
            seen["tokenizers, 2 threads"], seen["gristmill, 2 workers"],
        ),
        memory_row(ours),
    ]  # fmt: skip
    title = "Tokenise into the store, BPE of 32,000 tokens"
    described = corpora.describe(some)
    return Claim("tokenizing", title, size, described, seen, rows)


if __name__ == "__main__":
    main(claim, __doc__)
