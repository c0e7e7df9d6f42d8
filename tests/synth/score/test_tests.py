"""Unit tests as a score: what passes, and what the feedback says of what does not."""

from __future__ import annotations

from typing import Any

import pytest

from synth.calls import Failure
from synth.items import Item, Row
from synth.ops import parse_op
from synth.sandbox import run
from synth.sandbox.examine import examination, verdict
from tests.synth.sandbox.here import needs_sandbox
from tests.synth.score.examined import rate, score

needs_sandbox()


def test_all_pass() -> None:
    fields, _ = score("def add(a, b):\n    return a + b", "assert add(1, 2) == 3")
    assert fields["passed"] is True
    assert fields["passed_rate"] == 1.0
    assert fields["passed_feedback"] == ""


def test_some_fail_and_the_first_is_told() -> None:
    program = "def half(x):\n    print('half of', x)\n    return x // 2"
    tests = ["assert half(4) == 2", "assert half(5) == 2.5", "assert half(7) == 3.5"]
    fields, _ = score(program, tests)
    assert fields["passed"] is False
    assert fields["passed_rate"] == pytest.approx(1 / 3)
    told = fields["passed_feedback"]
    assert told.startswith("1 of 3 tests passed\nassert half(5) == 2.5\n")
    assert "got 2, compared with 2.5" in told
    assert "half of 5" in told
    assert "3.5" not in told


def test_thousands_of_tests_fit_the_limit_of_output() -> None:
    wanted = [n if n % 1000 else 0 for n in range(1200)]
    tests = [f"assert same({n}) == {wanted[n]}  # {'x' * 300}" for n in range(1200)]
    fields, _ = score("def same(x): return x", tests)
    assert fields["passed_rate"] == pytest.approx(1199 / 1200)
    assert "got 1000, compared with 0" in fields["passed_feedback"]


def test_an_exception_is_told_with_its_place() -> None:
    fields, _ = score("def first(x):\n    return x[0]", "assert first([]) is None")
    assert "line 2, in first" in fields["passed_feedback"]
    assert "IndexError" in fields["passed_feedback"]


def test_a_syntax_error_is_told_without_a_run() -> None:
    op = parse_op({"score": "tests"})
    item, row = Item({"code": "def f(:\n  pass", "tests": "assert f() == 1"}), Row("r", 0, {}, 1)
    with pytest.raises(StopIteration) as end:
        next(op.run([item], row))
    assert end.value.value == [item]
    assert item.fields["passed"] is False
    assert "SyntaxError" in item.fields["passed_feedback"]
    assert "line 1" in item.fields["passed_feedback"]


@pytest.mark.parametrize(
    ("tests", "reason"),
    [
        (None, "missing"),
        ([], "missing"),
        (7, "missing"),
        ("assert (", "unparsable"),
        ("x = 1", "unparsable"),
        ([{"stdin": "1"}], "unparsable"),
        ([["a", 1]], "unparsable"),
    ],
)
def test_tests_that_are_none_fail_the_item(tests: Any, reason: str) -> None:
    fields, row = score("def f(): pass", tests)
    assert fields == {}
    assert [lost.reason for lost in row.lost] == [reason]


def test_no_program_fails_the_item() -> None:
    fields, row = score(None, "assert f() == 1")  # type: ignore[arg-type]
    assert fields == {}
    assert row.lost[0].reason == "missing"


def test_pairs_of_stdin_and_stdout() -> None:
    program = "n = int(input())\nprint(n * n, ' ')\n"
    pairs = [{"stdin": "3\n", "stdout": "9"}, {"input": "4", "output": "16\n\n"}, ["5", "26"]]
    fields, _ = score(program, pairs)
    assert fields["passed_rate"] == pytest.approx(2 / 3)
    assert "wanted stdout:\n26" in fields["passed_feedback"]
    fields, _ = score(program, '[["2", "4"]]', into="right")
    assert fields["right"] is True


def test_a_pair_passes_only_where_the_program_ends_well() -> None:
    fields, _ = score("print(1)\nraise SystemExit(2)", [["", "1"]])
    assert fields["passed"] is False
    assert "ended with exit code 2" in fields["passed_feedback"]


PROGRAM = """
import math
from collections import Counter
from dataclasses import dataclass

class Empty(ValueError):
    def __init__(self, code):
        super().__init__(f"empty: {code}")
        self.code = code

class Stack:
    def __init__(self): self.items = []
    def push(self, x): self.items.append(x)
    def pop(self):
        if not self.items:
            raise Empty(7)
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __contains__(self, x): return x in self.items
    def __iter__(self): return iter(self.items)
    def __getitem__(self, n): return self.items[n]
    def __enter__(self): return self
    def __exit__(self, *_): self.items.clear()

@dataclass(order=True)
class Point:
    x: int
    y: int = 0
    def __add__(self, other): return Point(self.x + other.x, self.y + other.y)
    def __mul__(self, n): return Point(self.x * n, self.y * n)

def count(n):
    yield from range(n)
async def later(x): return x + 1
def apply(f, *args, **named): return f(*args, **named)
def depth(tree): return 0 if tree is None else 1 + max(depth(tree.left), depth(tree.right))
def same(x): return x
def words(text): return Counter(text.split())
def append_to(items, x): items.append(x); return items
def fill(grid): grid[1][0] = 9
def total(numbers): return sum(numbers)
def array():
    import numpy
    return numpy.arange(3)
LIMIT = 5
"""
TESTS = """
s = Stack()
s.push(2); s.push(3)
assert len(s) == 2 and 3 in s and 4 not in s
assert list(s) == [2, 3] and s[0] == 2 and s.items == [2, 3]
assert s.pop() == 3
with s as inner:
    assert inner is s
assert len(s) == 0
try:
    s.pop()
    raise AssertionError("not reached")
except Empty as error:
    assert str(error) == "empty: 7" and error.code == 7 and isinstance(error, ValueError)
assert isinstance(s, Stack) and not isinstance(3, Stack)
assert Point(1) == Point(1, 0) and Point(1) != Point(2) and Point(1) < Point(2)
assert (Point(1, 2) + Point(1, 1) * 2).y == 4
assert repr(Point(1, 2)) == "Point(x=1, y=2)" and len({Point: 1}) == 1
assert list(count(3)) == [0, 1, 2] and sum(count(4)) == 6
assert next(count(2)) == 0
import asyncio
assert asyncio.run(later(1)) == 2
async def test_later():
    assert await later(2) == 3
assert apply(lambda a, b=1: a + b, 1, b=4) == 5
assert apply(max, [3, 1]) == 3 and same(math.sqrt)(9) == 3
seen = []
apply(seen.append, 4)
assert seen == [4]
assert apply(sorted, [3, 1]) == [1, 3] and apply(len, "abc") == 3
class Tree:
    def __init__(self, left=None, right=None): self.left, self.right = left, right
assert depth(Tree(Tree(), None)) == 2
for value in (None, True, 1, 10**30, 1.5, "é", b"x", (1, [2]), {1: {2}}, {"a": None}, 2j,
              frozenset({1}), range(3), float("inf"), bytearray(b"y")):
    assert same(value) == value and type(same(value)) is type(value)
assert words("a b a").most_common(1) == [("a", 2)]
items = [1]
assert append_to(items, 2) is items and items == [1, 2]
grid = [[0], [0]]
fill(grid)
assert grid == [[0], [9]]
assert math.isclose(apply(math.sqrt, 2), 1.41421356, abs_tol=1e-6)
assert total(x for x in [1, 2]) == 3 and total({1: 0, 2: 0}.keys()) == 3
assert (array() == [0, 1, 2]).all()
assert LIMIT == 5
from solution import same as other
assert other(1) == 1
import unittest
class Methods(unittest.TestCase):
    def setUp(self): self.s = Stack()
    def test_pop(self):
        with self.assertRaises(Empty): self.s.pop()
    def test_len(self): self.assertEqual(len(self.s), 0)
class TestPlain:
    def test_it(self): assert same(2) == 2
def test_function():
    assert same("a") == "a"
def check(candidate):
    assert candidate(3) == 3
check(same)
if __name__ == "__main__":
    unittest.main()
"""


def test_what_tests_do_works_across_the_wall() -> None:
    fields, _ = score(PROGRAM, TESTS)
    assert fields["passed"], fields["passed_feedback"]


def test_a_function_named_as_a_builtin_can_be_tested() -> None:
    assert rate("def sum(a, b):\n    return a * b", "assert sum(2, 5) == 10") == 1.0


def test_setup_that_fails_is_no_pass() -> None:
    fields, _ = score("def f(): return 1", "import nothing_of_this_name\nassert f() == 1")
    assert fields["passed_rate"] == 1.0
    assert fields["passed"] is False


def test_a_loop_ends_and_earlier_tests_count() -> None:
    program = "def f(x):\n    while x > 1: pass\n    return x"
    fields, _ = score(program, "assert f(1) == 1\nassert f(2) == 2\nassert f(0) == 0")
    assert fields["passed_rate"] == pytest.approx(1 / 3)
    assert "assert f(2) == 2" in fields["passed_feedback"]
    assert "time" in fields["passed_feedback"].lower()


def test_a_program_that_waits_is_told_so() -> None:
    fields, _ = score("import time\ndef f(): time.sleep(1000)", "assert f() == 1")
    assert fields["passed_rate"] == 0.0
    assert "stopped at its limit of time" in fields["passed_feedback"]


def test_a_broken_sandbox_fails_the_item() -> None:
    op, row = parse_op({"score": "tests"}), Row("r", 0, {}, 1)
    flow = op.run([Item({"code": "x = 1", "tests": "assert x == 1"})], row)
    next(flow)
    with pytest.raises(StopIteration) as end:
        flow.send([Failure("crashed", "sandbox: gone")])
    assert end.value.value == []
    assert row.lost[0].reason == "crashed"


def test_an_examination_can_be_had_without_the_op() -> None:
    call = examination("def f(): return 1", "assert f() == 1")
    found = verdict(run(call.program, stdin=call.stdin, files=call.files))
    assert (found.passed, found.total, found.whole) == (1, 1, True)
