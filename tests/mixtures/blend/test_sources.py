"""Sources and weights as a user writes them, and what becomes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from gristmill.errors import RecipeError
from gristmill.store import Dataset, Store
from mixtures.blend.resolve import Found, Source, fitted_weights, found_sources, source_weights
from mixtures.blend.sources import OrderSpec, chosen, order, source_specs
from tests.make_store import put


def source(name: str, tokens: int = 100, **more: Any) -> Source:
    declared = name.partition("/")[0]
    return Source(name, declared, "t@0123", 10, tokens, **more)


def test_sources_stand_in_the_order_of_their_names() -> None:
    specs = source_specs({"web": "tokens/web", "code": {"from": "tokens/all", "by": "language"}})
    assert list(specs) == ["code", "web"]
    assert specs["web"].from_ == "tokens/web" and specs["code"].by == ("language",)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({}, "name each source"),
        ("tokens/web", "name each source"),
        ({"web": {"from": "t", "were": "x"}}, r"sources.web: unknown key 'were'; did you mean"),
        ({"web": 3}, "sources.web is 3: write a mapping"),
        ({"web": {"where": "x"}}, "sources.web: key 'from' is missing"),
        ({"a": {"from": "t", "replay": 1.5}}, "replay is 1.5"),
        ({"a": {"from": "t", "replay": 0.5}}, "replay shares sum to 0.5"),
        (
            {"a": {"from": "t", "by": "x", "replay": 0.2}, "b": "t"},
            "`replay` is the share of one source",
        ),
        ({"a": {"from": "t", "order": "random"}}, "order is 'random'"),
    ],
)
def test_bad_sources(written: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        source_specs(written)


def test_orders() -> None:
    assert order("shuffle") == "shuffle" and order("in_context") == "in_context"
    by = order({"by": "score", "descending": True})
    assert isinstance(by, OrderSpec) and by.needs_warning
    assert not OrderSpec(by="score", trainer="wsd").needs_warning
    with pytest.raises(RecipeError, match="did you mean 'shuffle'"):
        order("shufle")
    with pytest.raises(RecipeError, match="unknown key 'desc'"):
        order({"by": "x", "desc": True})


def test_weights_are_written_by_name_or_with_their_options() -> None:
    assert chosen("natural").told == "natural"
    assert chosen({"temperature": 0.3}).options == {"tau": 0.3}
    assert chosen({"unimax": {"max_epochs": 2}}).options == {"max_epochs": 2}
    assert chosen({"fitted": "mix/fit"}).stored == "mix/fit"
    one = chosen({"swarm": {"from": "mix/swarm", "run": 3}})
    assert one.stored == "mix/swarm" and one.told == "swarm mix/swarm 3"
    assert chosen({"given": {"a": 1}}).told == "given"


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("naturel", "did you mean 'natural'"),
        (3, "weights is 3"),
        ({"natural": 3}, "natural takes no options"),
        ({"unimax": {"epochs": 3}}, "unimax has no option 'epochs'; did you mean 'max_epochs'"),
        ({"fitted": 3}, "name the dataset that a fit made"),
        ({"swarm": "mix/swarm"}, "weights.swarm is 'mix/swarm': write a mapping"),
        ({"swarm": {"from": "mix/swarm"}}, "weights.swarm: key 'run' is missing"),
        ({"swarm": {"of": "mix/swarm", "run": 1}}, "weights.swarm: unknown key 'of'"),
        ({"natural": {}, "uniform": {}}, "write one of"),
    ],
)
def test_bad_weights(written: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        chosen(written)


def weights(written: Any, sources: list[Source], budget: float = 1000) -> list[float]:
    choice = chosen(written)
    stored = {"a": 0.9, "b": 0.1} if choice.stored else None
    return source_weights(choice, sources, budget, stored).tolist()


def test_heuristics_given_and_fitted() -> None:
    two = [source("a", 300), source("b", 100)]
    assert weights("natural", two) == [0.75, 0.25]
    assert weights("uniform", two) == [0.5, 0.5]
    assert weights({"given": {"a": 0.2, "b": 0.8}}, two) == pytest.approx([0.2, 0.8])
    assert weights({"fitted": "mix/fit"}, two) == pytest.approx([0.9, 0.1])
    assert weights({"unimax": 2}, two, 800) == [0.75, 0.25]


def test_a_replayed_source_has_its_share_and_the_rest_share_the_rest() -> None:
    three = [source("a", 300), source("b", 100), source("old", 10**6, replay=0.2)]
    assert weights("natural", three) == pytest.approx([0.6, 0.2, 0.2])
    # UniMax spends what is left: 0.8 of 500 is all of both sources once
    assert weights({"unimax": 1}, three, 500) == pytest.approx([0.6, 0.2, 0.2])
    assert weights("natural", [source("a", replay=0.25), source("b", replay=0.75)]) == [0.25, 0.75]


def test_a_weight_for_a_key_is_dealt_to_its_groups() -> None:
    three = [source("t/x", 300), source("t/y", 100), source("web", 50)]
    assert weights({"given": {"t": 0.8, "web": 0.2}}, three) == pytest.approx([0.6, 0.2, 0.2])
    some = {"given": {"t": 0.5, "t/y": 0.3, "web": 0.2}}
    assert weights(some, three) == pytest.approx([0.5, 0.3, 0.2])


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ({"given": {"a": 0.5, "c": 0.5}}, "no source 'c'"),
        ({"given": {"a": 0, "b": 0}}, "all weights are 0"),
        ({"given": {"a": 1}}, "none for source 'b'"),
        ({"given": [0.5, 0.5]}, "write a share for each source by its name"),
        ({"given": {"a": -1, "b": 2}}, "0 or more"),
        ({"unimax": 1}, "lower the budget or allow 2.50 epochs"),
        ({"temperature": 7}, "tau is 7"),
    ],
)
def test_weights_that_cannot_be(written: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        weights(written, [source("a", 300), source("b", 100)])


def group(name: str, tokens: int = 5) -> dict[str, Any]:
    return {"name": name, "first": 0, "documents": 2, "tokens": tokens}


def test_groups_become_sources() -> None:
    specs = source_specs({"t": {"from": "tokens/all", "by": ["topic", "format"]}, "web": "w"})
    found = [Found("tokens/all@1", [group("a/x"), group("a/y"), group("b/x", 0)], True)]
    made = found_sources(specs, [*found, Found("w@1", [group("")], False)])
    assert [(s.name, s.declared) for s in made] == [("t/a/x", "t"), ("t/a/y", "t"), ("web", "web")]
    clash = source_specs({"t": {"from": "all", "by": "topic"}, "t/a": "w"})
    with pytest.raises(RecipeError, match="two sources are named 't/a'"):
        found_sources(clash, [Found("x@1", [group("a")], True), Found("w@1", [group("")], False)])


def test_an_empty_source_is_an_error() -> None:
    specs = source_specs({"web": {"from": "tokens/web", "where": "language = 'xx'"}})
    with pytest.raises(
        RecipeError, match=r"'web' is empty: w@1 where language = 'xx' has no token"
    ):
        found_sources(specs, [Found("w@1", [], True)])


def test_a_fit_is_a_dataset_of_sources_and_weights(tmp_path: Path) -> None:
    store = Store(tmp_path)

    def fit(**columns: list[Any]) -> Dataset:
        return put(store, "fit", {"": ("rows", [pa.table(columns)])}, config={"rows": str(columns)})

    assert fitted_weights(fit(source=["b", "a"], weight=[0.25, 0.75])) == {"a": 0.75, "b": 0.25}
    with pytest.raises(RecipeError, match="names a source more than once"):
        fitted_weights(fit(source=["a", "a"], weight=[0.25, 0.75]))
    with pytest.raises(
        RecipeError, match=r"no column 'weight'; it must be made by `use: mixture_f"
    ):
        fitted_weights(fit(source=["a"]))
