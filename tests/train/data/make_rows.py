"""Small stores with chats, pairs and a tokenizer, and what train.data.prepare makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from gristmill.progress import Progress
from gristmill.schema import MESSAGE
from gristmill.step import StepRun
from gristmill.store import Store
from gristmill.task import RunInfo, published
from mixtures.tokens.tokenizers import settle, table_of
from pipelines.local import LocalExecutor
from tests.make_store import put
from tests.mixtures.tiny_tokenizers import tiny_bpe, tiny_files
from tests.run_step import InProcess
from train.data import prepare
from train.data.prepared import Prepared, open_prepared
from train.job import Job
from train.step import Train

TOKENIZER = "tok/chat"
CONFIG = {
    "model_type": "llama",
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
GRAINS = ["rye", "oats", "wheat", "barley", "spelt", "emmer", "millet", "sorghum"]


def put_tokenizer(store: Store, template: str | None = None) -> None:
    """A byte-level BPE that knows the roles' marks as special tokens."""
    special = ("<|end|>", "<|pad|>", "<|user|>", "<|assistant|>")
    files = tiny_files(tiny_bpe(special=special), eos_token="<|end|>", pad_token="<|pad|>")
    if template is not None:
        files["chat_template.jinja"] = template.encode()
    put(store, TOKENIZER, {"": ("tokenizer", [table_of(settle(files, {}, TOKENIZER))])})


def turns(*texts: str | None) -> list[dict[str, str | None]]:
    """A user and an assistant by turns."""
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)]


def put_chats(
    store: Store,
    chats: Sequence[Any],
    name: str = "rows/chat",
    kind: str = "chat",
    **columns: Sequence[Any],
) -> None:
    """Rows of kind chat."""
    table = pa.table(
        {
            "id": [f"chat-{n}" for n in range(len(chats))],
            "messages": pa.array(chats, pa.list_(MESSAGE)),
            **columns,
        }
    )
    put(store, name, {"": (kind, [table])})


def put_pairs(store: Store, rows: Sequence[Mapping[str, Any]], name: str = "rows/pairs") -> None:
    """Rows of kind preference."""
    table = pa.Table.from_pylist([{"id": f"pair-{n}", **row} for n, row in enumerate(rows)])
    put(store, name, {"": ("preference", [table])})


def some_pairs(count: int) -> list[dict[str, str]]:
    """Pairs that a tiny model can learn: the chosen answer repeats the grain."""
    return [
        {
            "prompt": f"Mill {n % 7} bags of {GRAINS[n % 8]}",
            "chosen": f"{GRAINS[n % 8]} is good " * (1 + n % 3),
            "rejected": f"no {GRAINS[(n + 3) % 8]}" * (1 + n % 2),
        }
        for n in range(count)
    ]


def stage(kind: str, rows: str, loss: Any = None, **data: Any) -> Train:
    """A stage over rows, with the tiny model."""
    more = {key: data.pop(key) for key in ("run", "seed", "init", "reference") if key in data}
    entry: dict[str, Any] = {
        "name": f"models/{kind}",
        "use": "train",
        "kind": kind,
        "init": {"config": CONFIG, "tokenizer": TOKENIZER},
        "data": {"rows": rows, **data},
        **({"loss": loss} if loss is not None else {}),
        **more,
    }
    return Train.model_validate(entry)


def versions(store: Store, step: Train) -> dict[str, str]:
    return {ref: store[ref].ref for ref in step.inputs()}


def prepared(
    store: Store, step: Train, folder: Path, workers: int | None = None
) -> tuple[Prepared, dict[str, Any]]:
    """The rows of a stage, and what the phases said; workers: in so many processes."""
    inputs = {ref: store[ref] for ref in step.inputs()}
    run = StepRun(store, step.name, "0" * 64, folder, inputs, {})
    info = RunInfo(str(store.path), str(folder), {"": "model", ".log": "rows"})
    folder.mkdir(parents=True, exist_ok=True)
    with LocalExecutor(workers) as local, Progress(quiet=True) as progress:
        for phase in prepare.row_phases(step, run):
            executor = InProcess() if workers is None else local
            executor.run(phase, info, progress.phase(phase.name, 1))
            found = [published(folder, phase.name, task.id) for task in phase.tasks]
            run._records[phase.name] = [record for record in found if record is not None]
    facts, notes = prepare.account(run.records(prepare.ROWS))
    return open_prepared(rows_folder(folder)), {"rows": facts, "notes": notes}


def rows_folder(folder: Path) -> Path:
    """Where `prepared` left them."""
    record = published(folder, prepare.JOIN, prepare.FOLDER)
    assert record is not None
    return record.path(prepare.FOLDER)


def job(store: Store, step: Train, folder: Path) -> Job:
    """The stage's job, with its rows prepared."""
    prepared(store, step, folder / "staging")
    rows = rows_folder(folder / "staging")
    (folder / "work").mkdir(exist_ok=True)
    return Job(step, str(store.path), versions(store, step), str(folder / "work"), str(rows))
