"""tokenize: one row a document, its tokens those of the library, every mistake explained."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit

from gristmill.errors import GristmillError, RecipeError, StoreError, TaskError
from gristmill.mapped import open_tokens
from gristmill.store import Dataset, Store
from mixtures.tokens import read, tokenize
from mixtures.tokens.tokenize import Tokenize
from mixtures.tokens.tokenizers import load_tokenizer
from pipelines.plan import plan_recipe
from tests.curation.minhash.corpora import documents, put_texts
from tests.make_store import put
from tests.mixtures.tiny_tokenizers import put_tokenizer, tiny_bpe, write_tokenizer
from tests.run_step import InProcess, run_recipe, run_step

TEXTS = ["the miller grinds rye", None, "", "flour — 小麦粉\x00\n", "a" * 500, "rye and wheat"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def asked(**options: Any) -> Tokenize:
    given = {"name": "tokens/web", "use": "tokenize", "from": "web/clean", "tokenizer": "tok/tiny"}
    return Tokenize(**{**given, **options})


def build(store: Store, texts: Sequence[str | None] = TEXTS, **options: Any) -> Dataset:
    """Tokenise texts; a tokenizer dataset is there when none is named."""
    if "tokenizer" not in options:
        put_tokenizer(store)
    put_texts(store, "web/clean", documents(texts), 4)
    made = run_step(asked(**options), store, executor=InProcess())
    return store[f"tokens/web@{made['tokens/web']}"]


def tokens(dataset: Dataset) -> list[list[int]]:
    opened = open_tokens(dataset)
    return [opened.read(n).tolist() for n in range(opened.documents)]


def plain(texts: Sequence[str | None], end: list[int], tokenizer: Tokenizer | None = None) -> Any:
    tokenizer = tokenizer or tiny_bpe()
    ids = [tokenizer.encode(text or "", add_special_tokens=False).ids for text in texts]
    return [[*found, *end] if found else [] for found in ids]


def test_rows_are_the_documents_and_tokens_those_of_the_library(store: Store) -> None:
    made = build(store)
    assert tokens(made) == plain(TEXTS, [0])
    table = made.to_table()
    assert table["id"].to_pylist() == [f"d{n}" for n in range(6)]
    assert table.schema.names == ["id", "start", "count", "tokens", "source", "language"]
    counts, starts = table["count"].to_pylist(), table["start"].to_pylist()
    assert counts[1:3] == [0, 0]
    # two shards of four and two documents: a running sum in each
    assert starts == [0, counts[0], counts[0], counts[0], 0, counts[4]]
    loaded = load_tokenizer(store["tokens/web.tokenizer"])
    assert [loaded.decode(ids) for ids in tokens(made)] == [text or "" for text in TEXTS]


def test_the_report_counts_by_source(store: Store) -> None:
    table = documents(TEXTS, source=["a", "a", "b", "b", "a", None])
    put_tokenizer(store)
    put_texts(store, "web/clean", table, 4)
    run_step(asked(), store, executor=InProcess())
    rows = {row.pop("source"): row for row in store["tokens/web.report"].to_table().to_pylist()}
    counts = [len(ids) for ids in plain(TEXTS, [0])]
    assert list(rows) == [None, "a", "b"]
    assert rows["a"] == {
        "documents": 3, "empty": 1, "tokens": counts[0] + counts[4], "text_bytes": 521,
        "unknown": 0, "replaced": 0, "longest": counts[4],
    }  # fmt: skip
    assert [rows[name]["empty"] for name in (None, "b")] == [0, 1]
    assert store["tokens/web"].manifest["totals"]["counts"]["source"] == {"": 1, "a": 3, "b": 2}
    facts = store["tokens/web"].build()["facts"]
    assert facts["tokens"] == sum(counts) and facts["vocab_size"] == 300


def test_what_stands_around_a_document(store: Store) -> None:
    tokenizer = tiny_bpe(special=["<s>", "</s>", "<|im_end|>"])
    put_tokenizer(store, tokenizer=tokenizer)
    named: dict[str, Any] = {"tokenizer": "tok/tiny"}
    assert tokens(build(store, **named)) == plain(TEXTS, [1], tokenizer)
    both = tokens(build(store, bos="auto", eos="<|im_end|>", **named))
    assert both == [[0, *ids] if ids else [] for ids in plain(TEXTS, [2], tokenizer)]
    assert load_tokenizer(store["tokens/web.tokenizer"]).eos == 2
    assert tokens(build(store, eos=None, **named)) == plain(TEXTS, [], tokenizer)
    assert load_tokenizer(store["tokens/web.tokenizer"]).eos == 1


def test_names_of_special_tokens_in_a_document_are_text(store: Store) -> None:
    texts = ["rye<|endoftext|>wheat", "<|pad|>"]
    made = tokens(build(store, texts))
    assert all(ids.count(0) == 1 and 1 not in ids for ids in made)
    loaded = load_tokenizer(store["tokens/web.tokenizer"])
    assert [loaded.decode(ids) for ids in made] == texts
    assert tokens(build(store, texts, special="token")) == plain(texts, [0])


def test_columns_are_carried(store: Store) -> None:
    put_tokenizer(store)
    table = documents(TEXTS, topic=["t"] * 6, score=range(6))
    put_texts(store, "web/clean", table, 4)
    run_step(asked(), store, executor=InProcess())
    assert store["tokens/web"].schema.names[4:] == ["source", "language", "topic"]
    run_step(asked(columns=["score", "url"]), store, executor=InProcess())
    assert store["tokens/web"].schema.names[4:] == ["score", "url"]
    assert store["tokens/web"].to_table()["score"].to_pylist() == list(range(6))
    for columns, message in ((["scor"], "did you mean 'score'"), (["count"], "their own of it")):
        with pytest.raises(RecipeError, match=message):
            run_step(asked(columns=columns), store, executor=InProcess())


def test_a_large_vocabulary_takes_four_bytes(store: Store) -> None:
    vocabulary = {"<unk>": 0, "rye": 1, "wheat": 70_000}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.add_special_tokens(["<unk>"])
    put_tokenizer(store, tokenizer=tokenizer)
    made = build(store, ["rye wheat", "oats rye", " "], tokenizer="tok/tiny", eos=None)
    assert open_tokens(made).dtype == np.uint32
    assert tokens(made) == [[1, 70_000], [0, 1], []]
    (note,) = made.build()["notes"]
    assert note.startswith("25.0% of the tokens are the unknown token")
    assert store["tokens/web.report"].to_table()["unknown"].to_pylist() == [1]


def test_a_folder_counts_by_its_content(store: Store, tmp_path: Path) -> None:
    one = write_tokenizer(tmp_path / "one", eos_token="<|endoftext|>")
    (one / "model.safetensors").write_bytes(b"weights are not read")
    first = build(store, tokenizer=str(one))
    assert tokens(first) == plain(TEXTS, [0])
    two = write_tokenizer(tmp_path / "two", eos_token="<|endoftext|>")
    same = asked(tokenizer=str(two / "tokenizer.json"))
    assert run_step(same, store, executor=InProcess())["tokens/web"] == first.version
    assert len(store.builds("tokens/web")) == 1  # found built: paths do not count
    write_tokenizer(two, tiny_bpe(vocab_size=280), eos_token="<|endoftext|>")
    other = run_step(same, store, executor=InProcess())
    assert other["tokens/web"] != first.version
    assert (
        other["tokens/web.tokenizer"]
        != store.builds("tokens/web")[0]["outputs"]["tokens/web.tokenizer"]
    )


def test_parts_and_workers_do_not_change_the_version(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"the miller {n} grinds rye and wheat" * (n % 5) for n in range(90)]
    put_tokenizer(store)
    put_texts(store, "web/clean", documents(texts), 40)
    monkeypatch.setattr(tokenize, "PART_BYTES", 900)
    monkeypatch.setattr(read, "ROWS", 7)
    one = run_step(asked(), store, executor=InProcess())
    assert len(store["tokens/web"].files) > 6
    assert tokens(store["tokens/web"]) == plain(texts, [0])
    two = run_step(asked(), Store(_copy(store)), workers=2)
    assert one == two


def _copy(store: Store) -> Path:
    """The same inputs in another store."""
    import shutil

    place = store.path.with_name("copy")
    for name in ("web", "tok"):
        shutil.copytree(store.path / name, place / name)
    return place


def test_a_killed_run_continues(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [f"rye {n}" for n in range(12)]
    whole = build(store, texts)
    done: list[str] = []
    encode = tokenize.encode

    def failing(encoder: Any, column: pa.Array) -> Any:
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(column[0].as_py())
        return encode(encoder, column)

    other = Store(_copy(store))
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tokenize, "encode", failing)
        run_step(asked(), other, executor=InProcess())
    monkeypatch.setattr(tokenize, "encode", lambda e, c: done.append(c[0].as_py()) or encode(e, c))
    assert run_step(asked(), other, executor=InProcess())["tokens/web"] == whole.version
    assert done == ["rye 0", "rye 4", "rye 8"]  # finished tasks are not done again


def test_no_documents(store: Store) -> None:
    made = build(store, [])
    assert made.rows == 0 and open_tokens(made).documents == 0
    assert store["tokens/web.report"].rows == 0


def test_bytes_that_are_not_utf8_are_replaced_and_counted(store: Store) -> None:
    put_tokenizer(store)
    raw = pa.array([b"rye", b"lone \xed\xa0\x80 surrogate", b"\xff"], pa.binary())
    text = pa.Array.from_buffers(pa.string(), 3, raw.buffers())  # as other tools write it
    table = documents(["", "", ""])
    table = table.set_column(table.schema.names.index("text"), "text", text)
    put(store, "web/clean", {"": ("document", [table])})
    run_step(asked(), store, executor=InProcess())
    assert tokens(store["tokens/web"]) == plain(
        ["rye", "lone \ufffd\ufffd\ufffd surrogate", "\ufffd"], [0]
    )
    assert store["tokens/web.report"].to_table()["replaced"].to_pylist() == [2]
    assert store["tokens/web"].build()["notes"] == [
        "2 texts were not UTF-8; what was broken became U+FFFD"
    ]


@pytest.mark.slow
def test_one_line_of_five_megabytes(store: Store) -> None:
    line = "the miller grinds rye 17 " * 200_000
    made = build(store, ["rye", line])
    (_, ids) = tokens(made)
    assert load_tokenizer(store["tokens/web.tokenizer"]).decode(ids) == line


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "tokenizer.json is not JSON"),
        (b'{"hidden_size": 8}', "is JSON, but not a tokenizer"),
        (None, "no file .*tokenizer.json; there: config.json"),
    ],
)
def test_a_broken_tokenizer_is_found_before_the_first_step(
    store: Store, tmp_path: Path, content: bytes | None, message: str
) -> None:
    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    if content is not None:
        (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(GristmillError, match=message):
        asked(tokenizer=str(folder)).check()
    with pytest.raises(GristmillError, match=message):
        build(store, tokenizer=str(folder))


def test_a_tokenizer_without_eos_must_be_told(store: Store) -> None:
    put_tokenizer(store, tokenizer=tiny_bpe(special=["<a>", "<b>"]))
    with pytest.raises(TaskError, match="name no eos; its special tokens: '<a>', '<b>'"):
        build(store, tokenizer="tok/tiny")
    assert tokens(build(store, tokenizer="tok/tiny", eos="<b>"))[-1][-1] == 1


def test_a_text_that_the_tokenizer_cannot_take_is_named(store: Store) -> None:
    put_tokenizer(store, tokenizer=Tokenizer(WordLevel({"rye": 0}, unk_token="none")))
    with pytest.raises(TaskError, match="fails on the text that begins 'oats'"):
        build(store, ["rye", "oats", "rye"], tokenizer="tok/tiny", eos=None)


def test_rows_without_text_are_refused(store: Store) -> None:
    put_tokenizer(store)
    put(store, "web/clean", {"": ("rows", [pa.table({"id": ["a"], "body": ["b"]})])})
    with pytest.raises(RecipeError, match=r"\(rows\) has no column 'text'.*id, body"):
        run_step(asked(), store, executor=InProcess())
    binary = pa.table({"id": ["a"], "text": [b"x"]})
    put(store, "web/clean", {"": ("rows", [binary])}, config={"second": True})
    with pytest.raises(RecipeError, match="column 'text' holds binary, not strings"):
        run_step(asked(), store, executor=InProcess())


def test_other_datasets_and_branches_are_no_tokenizers(store: Store) -> None:
    put_texts(store, "web/clean", documents(TEXTS), 4)
    with pytest.raises(TaskError, match="kind 'document', not a tokenizer"):
        run_step(asked(tokenizer="web/clean"), store, executor=InProcess())
    with pytest.raises(StoreError, match="no dataset 'tok/bpe'"):
        run_step(asked(tokenizer="tok/bpe"), store, executor=InProcess())
    with pytest.raises(
        RecipeError, match="revision is 'main'; name the commit by its 40 hex digits"
    ):
        asked(tokenizer={"hub": "org/name", "revision": "main"}).check()


def test_a_recipe_trains_and_tokenises(tmp_path: Path) -> None:
    rows = [{"url": f"u{n}", "text": f"the miller {n} grinds rye"} for n in range(50)]
    (tmp_path / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"""
steps:
  - {{name: web/clean, use: curate, from: {tmp_path / "t.jsonl"}}}
  - {{name: tok/bpe, use: train_tokenizer, from: web/clean, vocab_size: 270}}
  - {{name: tokens/web, use: tokenize, from: web/clean, tokenizer: tok/bpe}}
  - {{name: tokens/too, use: tokenize, from: web/clean, tokenizer: tokens/web.tokenizer}}
""")
    planned = {step.name: step for step in plan_recipe(recipe, store=tmp_path / "store")}
    assert planned["tokens/web"].state == "to build"
    assert planned["tokens/web"].documents == planned["web/clean"].documents
    assert planned["tokens/too"].documents == planned["web/clean"].documents
    made = run_recipe(recipe, tmp_path / "store", {})
    store = Store(tmp_path / "store")
    assert made["tokens/web.tokenizer"] == made["tok/bpe"]  # settled once, the same ever after
    loaded = load_tokenizer(store["tokens/web.tokenizer"])
    assert [loaded.decode(ids) for ids in tokens(store["tokens/web"])] == [r["text"] for r in rows]
    again = {step.name: step for step in plan_recipe(recipe, store=store)}
    assert {step.state for step in again.values()} == {"built"}
    count = store["tokens/web"].build()["facts"]["tokens"]
    assert again["tokens/web"].tokens == count and made["tokens/too"] == made["tokens/web"]
    recipe.write_text(recipe.read_text().replace("vocab_size: 270", "vocab_size: 280"))
    waits = {step.name: step for step in plan_recipe(recipe, store=store)}["tokens/web"]
    assert (waits.state, waits.documents) == ("to build", 50)  # for the tokenizer alone


@pytest.mark.slow
def test_every_shared_text_comes_back(tmp_path: Path, shared_data: Path) -> None:
    """Pages, an encyclopedia, and the declaration in 387 languages."""
    names = ("c4_demo", "wiki_demo", "udhr2")
    files = ", ".join(f"{shared_data}/text/{name}.jsonl.gz" for name in names)
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"""
steps:
  - {{name: text/all, use: curate, from: {{jsonl: [{files}]}}}}
  - {{name: tok/bpe, use: train_tokenizer, from: text/all, vocab_size: 4000, sample_bytes: 3e+6}}
  - {{name: tokens/all, use: tokenize, from: text/all, tokenizer: tok/bpe}}
""")
    run_recipe(recipe, tmp_path / "store", {})
    store = Store(tmp_path / "store")
    opened = open_tokens(store["tokens/all"])
    decode = load_tokenizer(store["tokens/all.tokenizer"]).decode
    row = 0
    for batch in store["text/all"].scan(["text"]):
        for text in batch["text"].to_pylist():
            assert decode(opened.read(row)) == text
            row += 1
    assert row == opened.documents > 700
