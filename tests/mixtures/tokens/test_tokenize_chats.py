"""Chats through `tokenize` and a mixture: packed beside documents, with their masks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gristmill.errors import StoreError
from gristmill.schema import MESSAGE
from gristmill.store import Store
from tests.extras import needs

needs("transformers")

from mixtures.blend.step import Mixture  # noqa: E402
from mixtures.plan import open_plan  # noqa: E402
from mixtures.tokens.chat import OURS, chat_parts, open_chat_tokenizer  # noqa: E402
from mixtures.tokens.encode_chat import open_chat_encoder  # noqa: E402
from mixtures.tokens.tokenize import Tokenize  # noqa: E402
from mixtures.tokens.tokenizers import tokenizer_files  # noqa: E402
from tests.make_store import put, put_documents  # noqa: E402
from tests.mixtures.tiny_tokenizers import put_tokenizer, tiny_bpe  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402


def turns(*texts: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[n % 2], "content": t} for n, t in enumerate(texts)]


CHATS = [turns(f"mill {n} bags", f"done {n} " * (1 + n % 4)) for n in range(20)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "store")
    put_tokenizer(found, "tok/tiny", tiny_bpe(), eos_token="<|endoftext|>", pad_token="<|pad|>")
    chats = [*CHATS, turns("nobody answers")]
    table = pa.table(
        {
            "id": [f"chat-{n}" for n in range(len(chats))],
            "messages": pa.array(chats, pa.list_(MESSAGE)),
            "source": ["synth"] * len(chats),
        }
    )
    put(found, "synth/chat", {"": ("chat", [table.slice(0, 9), table.slice(9)])})
    put_documents(found, "web/clean", range(40))
    return found


def tokenize(store: Store, name: str, from_: str, **options: object) -> None:
    entry = {"name": name, "use": "tokenize", "from": from_, "tokenizer": "tok/tiny", **options}
    run_step(Tokenize.model_validate(entry), store, executor=InProcess())


def test_a_chat_is_a_row_of_tokens_with_a_mask(store: Store) -> None:
    tokenize(store, "tokens/chat", "synth/chat")
    dataset = store["tokens/chat"]
    opened = open_chat_tokenizer(tokenizer_files(store["tokens/chat.tokenizer"]))
    assert opened.chat_template == OURS
    rows = dataset.to_table().to_pylist()
    assert [row["id"] for row in rows] == [f"chat-{n}" for n in range(21)]
    for row, chat in zip(rows, CHATS, strict=False):
        (made,) = open_chat_encoder(opened).encode([chat_parts(opened, chat)])
        assert np.frombuffer(row["tokens"], np.uint16).tolist() == made.ids
        assert list(row["loss_mask"]) == [int(counts) for counts in made.learnt]
    assert rows[-1]["count"] == 0
    report = store["tokens/chat.report"].to_table().to_pylist()
    assert [(r["source"], r["documents"], r["empty"]) for r in report] == [("synth", 21, 1)]
    assert "1 chats have no tokens" in dataset.build()["notes"][0]


def test_chats_and_documents_in_one_mixture(store: Store) -> None:
    tokenize(store, "tokens/chat", "synth/chat")
    tokenize(store, "tokens/web", "web/clean")
    entry = {
        "name": "mix/sft",
        "use": "mixture",
        "sources": {"web": "tokens/web", "chat": "tokens/chat"},
        "weights": "uniform",
        "budget": 2048,
        "shape": [{"seq": 64, "batch": 4}],
    }
    run_step(Mixture.model_validate(entry), store, executor=InProcess())
    plan = open_plan(store, "mix/sft")
    assert store[plan.spec.tokenizer].name == "tokens/chat.tokenizer"
    tokenizer = open_chat_tokenizer(tokenizer_files(store[plan.spec.tokenizer]))
    learnt: set[str] = set()
    for number in range(len(plan)):
        row = plan[number]
        if plan.where(number).source == "chat":
            counted = row["labels"][row["labels"] >= 0]
            learnt |= set(tokenizer.decode(counted).split("<|endoftext|>"))
    answers = {chat[1]["content"] for chat in CHATS}
    assert len(learnt & answers) > 10
    assert not any("mill" in text for text in learnt)


def test_two_templates_in_one_mixture_are_refused(store: Store, tmp_path: Path) -> None:
    from mixtures.blend.checks import one_tokenizer

    file = tmp_path / "chat.jinja"
    file.write_text("{% for m in messages %}{{ m['content'] }}{{ eos_token }}{% endfor %}")
    tokenize(store, "tokens/chat", "synth/chat")
    tokenize(store, "tokens/other", "synth/chat", template=str(file))
    with pytest.raises(StoreError, match="two tokenizers in one mixture"):
        one_tokenizer([store["tokens/chat"], store["tokens/other"]])
