"""Mano: values by an independent evaluator, counts of operators, the verifier."""

from __future__ import annotations

from collections import Counter

import pytest
from scipy.stats import chisquare

from gristmill.errors import RecipeError
from synth.procedural import mano


def infix(symbols: list[str]) -> str:
    """Prefix notation as a bracketed Python expression, consuming `symbols` from the left."""
    symbol = symbols.pop(0)
    if symbol not in "+-*":
        return symbol
    left = infix(symbols)
    return f"({left} {symbol} {infix(symbols)})"


@pytest.mark.parametrize("modulus, length", [(23, 10), (23, 16), (7, 5)])
def test_answers_equal_pythons(modulus: int, length: int) -> None:
    for number in range(200):
        one = mano.generate(1, number, length=length, modulus=modulus)
        tag, *symbols, equals = one.prompt.split(" ")
        operators = sum(symbol in "+-*" for symbol in symbols)
        assert tag == f"<{operators}>" == f"<{one.meta['length']}>" and equals == "="
        expression = infix(symbols)
        assert not symbols
        assert str(eval(expression) % modulus) == one.answer
        assert mano.solve(one.prompt, modulus) == one.answer
        assert one.text == f"{one.prompt} {one.answer}" and one.spans == ((0, len(one.text)),)


def test_counts_operators_and_numbers_are_uniform() -> None:
    samples = [mano.generate(2, i) for i in range(4000)]
    counts = Counter(s.meta["length"] for s in samples)
    symbols = Counter(symbol for s in samples for symbol in s.prompt.split(" ")[1:-1])
    assert set(counts) == set(range(1, 11)) and chisquare(list(counts.values())).pvalue > 1e-3
    assert chisquare([symbols[s] for s in "+-*"]).pvalue > 1e-3
    assert chisquare([symbols[str(n)] for n in range(23)]).pvalue > 1e-3


def test_verifier() -> None:
    one = mano.generate(3, 3)
    for n in range(23):
        right = float(str(n) == one.answer)
        assert mano.verify(f" {n}", one.answer) == right
        assert mano.verify(f"{n}\n<1> +", "", one.prompt) == right
    for odd in ("", one.answer + " or so", "0" + one.answer, f"<1> {one.answer}"):
        assert mano.verify(odd, one.answer) == 0
    for broken in ("<1> + 3 =", "<1> 3 4 =", "3 + 4 =", "", "<0> =", "<2> + + 1 2 3 4 ="):
        assert mano.solve(broken) is None


def test_bare_tokens() -> None:
    one = mano.generate(4, 1, tokens=True)
    tokens, numbers = one.meta["tokens"], mano.OPERATORS + 3 + 10
    assert tokens[0] == mano.BOS and tokens[-1] == mano.EOS and tokens[-3] == mano.ANSWER
    assert tokens[-2] == numbers + int(one.answer)
    back = ["+-*"[t - mano.OPERATORS] if t < numbers else str(t - numbers) for t in tokens[2:-3]]
    assert back == one.prompt.split(" ")[1:-1]


@pytest.mark.parametrize("operations", ["", "+/", "++"])
def test_unknown_operations_are_refused(operations: str) -> None:
    with pytest.raises(RecipeError, match="each of"):
        mano.Mano(operations=operations)
