"""Orders of documents: shuffled anew each epoch, by a column, from neighbour to neighbour."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gristmill.mapped import Tokens, open_tokens
from gristmill.store import Store
from mixtures.blend import in_context
from mixtures.blend.in_context import neighbour_order
from mixtures.blend.order import Feed
from tests.mixtures.make_tokens import put_tokens


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Tokens:
    return open_tokens(put_tokens(Store(tmp_path_factory.mktemp("s")), "t", documents=90))


def drawn(tokens: Tokens, epoch: int, name: str = "web", seed: int = 0) -> list[int]:
    feed = Feed(tokens, None, 90, seed, name, shuffle=True)
    parts = [feed(epoch, first, 40)[0] for first in range(0, 90, 40)]
    assert (feed.documents, feed.tokens) == (90, int(tokens.counts().sum()))
    return np.concatenate(parts).tolist()


def test_every_epoch_has_each_document_once_in_an_order_of_its_own(tokens: Tokens) -> None:
    orders = [
        drawn(tokens, 0),
        drawn(tokens, 1),
        drawn(tokens, 0, "code"),
        drawn(tokens, 0, seed=1),
    ]
    assert all(sorted(order) == list(range(90)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert drawn(tokens, 0) == orders[0]


def test_any_stretch_of_an_epoch_is_found_without_the_rest(tokens: Tokens) -> None:
    documents, lengths = Feed(tokens, None, 90, 0, "web", True)(3, 50, 20)
    assert documents.tolist() == drawn(tokens, 3)[50:70]
    assert lengths.tolist() == tokens.take_counts(documents).tolist()


def test_an_ordered_feed_follows_its_rows(tokens: Tokens) -> None:
    rows = np.array([7, 3, 88], np.int64)
    feed = Feed(tokens, rows, 3, 0, "web", shuffle=False)
    assert [feed(epoch, 0, 9)[0].tolist() for epoch in (0, 1)] == [[7, 3, 88]] * 2
    shuffled = Feed(tokens, rows, 3, 0, "web", shuffle=True)
    assert sorted(shuffled(0, 0, 3)[0].tolist()) == [3, 7, 88]


def planted(
    topics: int, per_topic: int, seed: int
) -> tuple[tuple[tuple[int, ...], ...], list[int]]:
    """Documents of common words and words of their topic, shuffled; and each one's topic."""
    draw = np.random.default_rng(seed)
    of = draw.permutation(np.repeat(np.arange(topics), per_topic))
    texts = []
    for topic in of:
        common = draw.integers(1, 200, 60)
        own = 200 + topic * 40 + draw.integers(0, 40, 60)
        texts.append(tuple(draw.permutation(np.concatenate((common, own))).tolist()))
    return tuple(texts), of.tolist()


@pytest.mark.parametrize("block", [8192, 100])
def test_planted_topics_come_out_adjacent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(in_context, "BLOCK", block)
    monkeypatch.setattr(in_context, "PER_PIVOT", 40)
    texts, topics = planted(topics=12, per_topic=40, seed=3)
    tokens = open_tokens(put_tokens(Store(tmp_path), "t", texts=texts))
    neighbour_order(tokens, None, len(texts), 0, tmp_path / "order", tmp_path / "scratch")
    walked = np.fromfile(tmp_path / "order", np.int64)
    assert sorted(walked.tolist()) == list(range(len(texts)))
    assert not (tmp_path / "scratch").exists()
    of = np.array(topics)[walked]
    # by chance 1 neighbour in 12 shares the topic; topics end, and blocks cut some
    assert (of[1:] == of[:-1]).mean() > (0.94 if block == 8192 else 0.8)


def test_tokens_are_counted_once_a_document(tmp_path: Path) -> None:
    texts, _ = planted(topics=3, per_topic=20, seed=5)
    tokens = open_tokens(put_tokens(Store(tmp_path), "t", texts=(*texts, ())))
    every = np.arange(61)
    found = np.zeros(in_context.TOKENS, np.int32)
    in_context._count(tokens.addresses(every), tokens.take_counts(every), 2, found)
    expected = np.zeros_like(found)
    for text in texts:
        expected[sorted(set(text))] += 1
    assert (found == expected).all()


def test_a_sketch_is_the_sign_of_its_tokens_votes(tmp_path: Path) -> None:
    tokens = open_tokens(put_tokens(Store(tmp_path), "t", texts=((5, 7, 5, 9), (9,), ())))
    rarity = np.zeros(in_context.TOKENS, np.int32)
    rarity[[5, 7]] = 3, 1  # 9 has no vote
    addresses, lengths = tokens.addresses(np.arange(3)), tokens.take_counts(np.arange(3))
    first, none, empty = in_context._sketches(addresses, lengths, 2, rarity)
    rarity[:] = 0
    rarity[5] = 1
    assert (first == in_context._sketches(addresses[:1], lengths[:1], 2, rarity)[0]).all()
    assert not none.any() and not empty.any()


def test_a_walk_over_some_documents_gives_their_row_numbers(tmp_path: Path) -> None:
    texts, _ = planted(topics=4, per_topic=20, seed=4)
    tokens = open_tokens(put_tokens(Store(tmp_path), "t", texts=texts))
    rows = np.arange(0, 80, 3)
    orders = []
    for turn in range(2):
        out = tmp_path / f"order{turn}"
        neighbour_order(tokens, rows, len(rows), 0, out, tmp_path / "scratch")
        orders.append(np.fromfile(out, np.int64).tolist())
    assert sorted(orders[0]) == rows.tolist() and orders[0] == orders[1]
