"""Values between examiner and candidate: the same after the journey, and nothing but values."""

from __future__ import annotations

import collections
import datetime
import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.sandbox.inside.values import Broken, Values

PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
VALUES = st.recursive(
    PLAIN | st.binary() | st.decimals(allow_nan=False) | st.fractions() | st.dates(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(PLAIN, inner),
    max_leaves=20,
)


def journey(value: Any) -> Any:
    return Values().unpack(json.loads(json.dumps(Values().pack(value))))


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_values_arrive_as_they_were(value: Any) -> None:
    arrived = journey(value)
    assert arrived == value
    assert type(arrived) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        *(Decimal("1.50"), Fraction(1, 3), datetime.datetime(2020, 1, 2, 3), datetime.time(4, 5)),
        *(collections.Counter("aab"), collections.deque([1]), collections.OrderedDict(b=1, a=2)),
        *(
            {1, 2},
            frozenset({"a"}),
            range(1, 9, 2),
            bytearray(b"x"),
            1 + 2j,
            float("inf"),
            "\ud800",
        ),
        *(ValueError, int, {"a": [({1: None},)]}),
    ],
)
def test_kinds(value: Any) -> None:
    assert journey(value) == value
    assert type(journey(value)) is type(value)


def test_subclasses_arrive_as_their_built_in_type() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    Named = collections.namedtuple("Named", "a b")
    assert journey(Liar(3)) == 3
    assert type(journey(Liar(3))) is int
    assert type(journey(Named(1, 2))) is tuple
    assert type(journey(collections.defaultdict(list, a=[1]))) is dict


def test_an_exception_arrives_with_its_words_and_state() -> None:
    error = KeyError("x")
    error.code = 7  # type: ignore[attr-defined]
    arrived = journey(error)
    assert type(arrived) is KeyError
    assert (arrived.args, arrived.code) == (("x",), 7)


@pytest.mark.parametrize(
    "packed",
    [
        *([], ["list"], ["list", 1], ["dict", [1], []], ["yours", 3], ["builtin", "eval"]),
        *({"a": 1}, ["Decimal", "x"], ["exception", [["os", "system"]]], ["argument", 0]),
        *(["set", [["list", []]]], ["function", "builtins", "eval"]),
    ],
)
def test_what_is_no_value_is_refused(packed: Any) -> None:
    with pytest.raises(Broken):
        Values().unpack(packed)
