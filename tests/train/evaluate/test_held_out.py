"""Held-out loss equals an independent computation; bits per byte count the bytes that are there."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from tests.extras import needs

needs("torch", "transformers")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from gristmill.errors import RecipeError  # noqa: E402
from gristmill.store import Store  # noqa: E402
from mixtures.blend.step import Mixture  # noqa: E402
from mixtures.plan import open_plan  # noqa: E402
from mixtures.tokens.tokenize import Tokenize  # noqa: E402
from tests.make_store import put  # noqa: E402
from tests.run_step import InProcess, run_step  # noqa: E402
from tests.train.evaluate.make_bench import END, bench, byte_tokenizer, llama  # noqa: E402
from train.evaluate.bench import Bench  # noqa: E402
from train.evaluate.held_out import windows  # noqa: E402
from train.evaluate.results import Measured  # noqa: E402
from train.evaluate.spec import parse_task  # noqa: E402
from train.evaluate.token_bytes import token_bytes  # noqa: E402

TEXTS = [
    "The mill grinds slowly, but it grinds fine.",
    "Größe, naïve façade — and some 漢字 too.",
    "a",
    "Rye, oats and barley. " * 9,
]
MERGES = (("t", "h"), ("th", "e"), ("i", "n"), ("a", "n"))


def put_documents(store: Store) -> None:
    table = pa.table(
        {
            "id": [f"d{n}" for n in range(len(TEXTS))],
            "text": TEXTS,
            "url": ["https://mill.org/1", "https://Mill.org/2", "", "https://rye.org"],
            "date": [""] * len(TEXTS),
            "source": ["web", "web", "books", "books"],
        }
    )
    put(store, "web/valid", {"": ("document", [table])})


def opened(tmp: Path, ref: str, **options: object) -> Bench:
    store = Store(tmp / "store")
    return bench(tmp, inputs={ref: store[ref].ref}, **options)  # type: ignore[arg-type]


def scores(found: Measured) -> dict[tuple[str, str], float]:
    return {(s.metric, s.source): s.value for s in found.scores}


def exact_nats(model: torch.nn.Module, ids: list[int]) -> np.ndarray:
    """float64 -log p of tokens 1, 2, …, one row, no batch."""
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0].double()
    return -torch.log_softmax(logits, -1)[range(len(ids) - 1), ids[1:]].numpy()


def test_loss_of_documents_by_source_equals_an_independent_one(tmp_path: Path) -> None:
    put_documents(Store(tmp_path / "store"))
    measured = opened(tmp_path, "web/valid", batch_tokens=300)
    got = scores(parse_task({"loss": "web/valid"}).measure(measured))
    for source, texts in (("all", TEXTS), ("web", TEXTS[:2]), ("books", TEXTS[2:])):
        nats = [exact_nats(measured.model, list(text.encode_ids)) for text in _coded(texts)]
        total, tokens = sum(one.sum() for one in nats), sum(len(one) for one in nats)
        size = sum(len(text.encode()) - 1 for text in texts)  # the first byte has nothing before it
        assert got["loss", source] == pytest.approx(total / tokens, rel=1e-6)
        assert got["perplexity", source] == pytest.approx(math.exp(total / tokens), rel=1e-5)
        # The first character of a text is one byte here, so one byte a text is not counted.
        assert got["bits_per_byte", source] == pytest.approx(total / math.log(2) / size, rel=1e-6)


class _Coded:
    def __init__(self, text: str) -> None:
        self.encode_ids = byte_tokenizer().encode(text).ids


def _coded(texts: list[str]) -> list[_Coded]:
    return [_Coded(text) for text in texts]


def test_a_document_keeps_its_host(tmp_path: Path) -> None:
    put_documents(Store(tmp_path / "store"))
    found = parse_task({"loss": "web/valid"}).measure(opened(tmp_path, "web/valid"))
    hosts = {item.item: item.host for item in found.items}
    assert hosts == {"d0": "mill.org", "d1": "mill.org", "d3": "rye.org"}  # d2 is one token


def test_two_tokenizers_are_compared_by_the_same_bytes(tmp_path: Path) -> None:
    put_documents(Store(tmp_path / "store"))
    sizes, tokens = [], []
    for merges in ((), MERGES):
        tokenizer = byte_tokenizer(merges)
        uniform = llama(tokenizer.get_vocab_size())
        torch.nn.init.zeros_(uniform.lm_head.weight)  # every token is as likely as any other
        measured = opened(tmp_path, "web/valid", model=uniform, tokenizer=tokenizer)
        found = parse_task({"loss": {"data": "web/valid", "start": "eos"}}).measure(measured)
        sizes.append([item.bytes or 0 for item in found.items])
        tokens.append(sum(item.tokens or 0 for item in found.items))
        bits = tokens[-1] * math.log2(tokenizer.get_vocab_size()) / sum(sizes[-1])
        assert scores(found)["bits_per_byte", "all"] == pytest.approx(bits, rel=1e-6)
    assert sizes[0] == sizes[1] == [len(text.encode()) for text in TEXTS]
    assert tokens[1] < tokens[0]


def test_bytes_of_tokens_are_those_that_they_decode_to() -> None:
    tokenizer = byte_tokenizer(MERGES)
    found = token_bytes(tokenizer)
    assert found is not None
    for text in TEXTS:
        assert found[tokenizer.encode(text).ids].sum() == len(text.encode())
    assert found[tokenizer.token_to_id(END)] == 0


def test_long_texts_are_read_in_windows_and_no_token_counts_twice(tmp_path: Path) -> None:
    measured = bench(tmp_path)
    row = byte_tokenizer().encode(TEXTS[3]).ids
    (whole,) = windows(measured, [row], None, None)
    assert whole == pytest.approx(exact_nats(measured.model, row), rel=1e-5)
    (cut,) = windows(measured, [row], 32, 8)
    for place in (10, 31, 32, 100, len(row) - 1):
        # Window k ends at 32 + 8k; the token is read in the first window that reaches it.
        end = 32 + 8 * max(0, -(-(place + 1 - 32) // 8))
        inside = row[end - 32 : end]
        wanted = exact_nats(measured.model, inside)[place - (end - 32) - 1]
        assert cut[place - 1] == pytest.approx(wanted, rel=1e-4)


def mixture(tmp: Path) -> Store:
    store = Store(tmp / "store")
    put_documents(store)
    (tmp / "tok").mkdir(exist_ok=True)
    (tmp / "tok" / "tokenizer.json").write_text(byte_tokenizer().to_str())
    tokens = {
        "name": "tokens/web",
        "use": "tokenize",
        "from": "web/valid",
        "tokenizer": str(tmp / "tok/tokenizer.json"),
        "eos": END,
    }
    run_step(Tokenize.model_validate(tokens), store, executor=InProcess())
    mix = {
        "name": "mix/valid",
        "use": "mixture",
        "budget": 1024,
        "sources": {
            name: {"from": "tokens/web", "where": f"source = '{name}'"} for name in ("web", "books")
        },
        "weights": "uniform",
        "shape": [{"seq": 64, "batch": 2}, {"at": 0.5, "seq": 128, "batch": 2}],
        "max_epochs": 100,
    }
    run_step(Mixture.model_validate(mix), store, executor=InProcess())
    return store


def test_loss_of_a_mixture_is_that_of_its_documents_alone(tmp_path: Path) -> None:
    store = mixture(tmp_path)
    measured = opened(tmp_path, "mix/valid")
    found = parse_task({"loss": "mix/valid"}).measure(measured)
    plan = open_plan(store, "mix/valid")
    by_source: dict[str, list[tuple[float, int]]] = {}
    for item in (plan[n] for n in range(len(plan))):
        ids, labels, places = item["input_ids"], item["labels"], item["position_ids"]
        cuts = [0, *(np.flatnonzero(places[1:] == 0) + 1).tolist(), len(ids)]
        for a, b in pairwise(cuts):
            counted = labels[a + 1 : b] >= 0
            if counted.any():
                nats = exact_nats(measured.model, ids[a:b].tolist())[counted]
                name = plan.spec.sources[item["source"]].name
                by_source.setdefault(name, []).append((nats.sum(), len(nats)))
    got = scores(found)
    every = [one for several in by_source.values() for one in several]
    for source, several in {**by_source, "all": every}.items():
        expected = sum(a for a, _ in several) / sum(b for _, b in several)
        assert got["loss", source] == pytest.approx(expected, rel=1e-6)
    assert sum(item.tokens or 0 for item in found.items) == sum(b for _, b in every)
    assert set(by_source) == {"web", "books"}


def test_tokens_and_texts_agree(tmp_path: Path) -> None:
    mixture(tmp_path)
    tokens = parse_task({"loss": "tokens/web"}).measure(opened(tmp_path, "tokens/web"))
    texts = parse_task({"loss": "web/valid"}).measure(opened(tmp_path, "web/valid"))
    by_id = {item.item: item for item in texts.items}
    for item in tokens.items:  # the tokens have an end of text more, which spells no byte
        assert item.bytes == (by_id[item.item].bytes if item.item in by_id else 0)
        assert item.score > (by_id[item.item].score if item.item in by_id else 0)


def test_another_vocabulary_is_an_error_that_names_the_way_out(tmp_path: Path) -> None:
    mixture(tmp_path)
    measured = opened(tmp_path, "mix/valid", tokenizer=byte_tokenizer(MERGES))
    with pytest.raises(RecipeError, match="name the documents instead"):
        parse_task({"loss": "mix/valid"}).measure(measured)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
