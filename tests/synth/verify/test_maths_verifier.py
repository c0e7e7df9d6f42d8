"""Mathematical equality: what is accepted, what is not, and that it always comes back."""

from __future__ import annotations

import os
import subprocess
import sys
from time import monotonic

import pytest

from synth.verify.apart import apart
from synth.verify.maths import quick, verify_maths, verify_number
from tests.extras import needs

needs("math_verify")

PLAIN = [  # (right answer, completion): decided without sympy
    ("1/2", "0.5"),
    ("0.5", r"\frac{1}{2}"),
    (r"\frac{1}{2}", r"\boxed{0.5}"),
    (r"\frac12", "1/2"),
    ("1,000", "1000"),
    ("1000", "It costs exactly this.\nThe answer is 1,000."),
    ("1000", r"\boxed{1{,}000}"),
    ("1e3", "1000"),
    ("-5", "−5"),
    ("1.5", "1 1/2"),
    ("42", "#### 42"),
    ("42", r"first \boxed{41}, no, \boxed{42}"),
    ("7", "3 + 4 = 7"),
    ("7", "x = 7."),
    ("0.333333", r"$\frac13$"),
    ("(1,2)", "(1, 2)"),
    ("[1, 2)", "$[1,2)$"),
    ("A", "The answer is A."),
    (r"\boxed{12}", "12"),
]
SYMBOLIC = [  # decided by math-verify
    ("5", "5 cm"),
    ("5 cm", r"$5\text{ cm}$"),
    ("$5", "5"),
    ("30", "30 degrees"),
    (r"30^\circ", "30"),
    ("50%", "0.5"),
    ("50", r"$50\%$"),  # both readings of a percentage are accepted
    ("42", "She has 42 apples left."),
    ("x=5", "5"),
    (r"\{1,2,3\}", r"$\{3,2,1\}$"),
    ("x^2+2x+1", "$(x+1)^2$"),
    (r"\sqrt{8}", r"$2\sqrt{2}$"),
    ("8", "$2^3$"),
    ("5!", "120"),
    ("3:4", "3/4"),
    (r"x \in [0,1]", "$[0,1]$"),
    ("x>2", r"$(2,\infty)$"),
    (r"(2,\infty)", "$x>2$"),
    ("a+b", "b+a"),
    (
        r"\begin{pmatrix}1&2\\3&4\end{pmatrix}",
        r"\boxed{\begin{pmatrix}1&2\\3&\frac{8}{2}\end{pmatrix}}",
    ),
]
WRONG = [
    ("42", "41"),
    ("42", r"\boxed{42} or \boxed{43}"),
    ("42", "42 was my first idea.\nThe answer is 43."),
    ("42", ""),
    ("", "42"),
    ("42", "-42"),
    ("1/3", "0.33"),
    ("1000", "1.000"),  # no decimal commas or points of other countries
    ("[1,2)", "$[1,2]$"),
    ("(1,2)", "(2,1)"),
    ("x^2", "$x^3$"),
    (r"\sqrt{2}", r"$\sqrt{3}$"),
    (r"\{1,2\}", r"$\{1,2,3\}$"),
]
NOT_ACCEPTED = [  # equal, but math-verify does not see it
    ("twelve", "12"),
    ("12", "twelve"),
    (r"\pi", "3.14159"),
    ("1000000", "1 million"),
    ("i", r"$\sqrt{-1}$"),
    ("true", "True"),
]


@pytest.mark.parametrize("answer, completion", PLAIN)
def test_plain_numbers_need_no_sympy(answer: str, completion: str) -> None:
    assert quick(completion, answer) is True
    assert verify_maths(completion, answer) == 1


@pytest.mark.parametrize("answer, completion", SYMBOLIC)
def test_symbolic(answer: str, completion: str) -> None:
    assert quick(completion, answer) is None
    assert verify_maths(completion, answer) == 1


@pytest.mark.parametrize("answer, completion", WRONG)
def test_wrong(answer: str, completion: str) -> None:
    assert quick(completion, answer) is not True
    assert verify_maths(completion, answer) == 0


@pytest.mark.parametrize("answer, completion", NOT_ACCEPTED)
def test_known_gaps(answer: str, completion: str) -> None:
    assert verify_maths(completion, answer) == 0


def test_plain_verdicts_agree_with_math_verify() -> None:
    from math_verify import parse, verify

    values = ["1/2", "0.5", "0.50", "3", "3.0", "-3", "1,000", "1000", "0.3333333", "1/3", "2/6"]
    for answer in values:
        for said in values:
            theirs = verify(
                parse(f"${answer}$", parsing_timeout=None),
                parse(f"${said}$", parsing_timeout=None),
                timeout_seconds=None,
            )
            assert quick(said, answer) is theirs, (answer, said)


def test_sympy_is_not_loaded_for_plain_numbers() -> None:
    code = (
        "import sys; from synth.verify import VERIFIERS;"
        "assert VERIFIERS['maths']('The answer is 1/2.', '0.5') == 1;"
        "print([name for name in ('sympy', 'math_verify', 'jsonschema', 'torch')"
        " if name in sys.modules])"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert told.stdout == "[]\n", told.stderr


@pytest.mark.slow
def test_an_answer_that_would_take_for_ever_is_wrong_in_time() -> None:
    start = monotonic()
    assert verify_maths("$9^{9^{9^{9}}}$", "10^{10^{10^{10}}}") == 0
    assert monotonic() - start < 60
    assert verify_maths("$(x+1)^2$", "x^2+2x+1") == 1  # and the next one is judged


def test_apart_survives_what_its_function_does() -> None:
    assert apart("math:factorial", (5,), 20.0) == 120
    assert apart("math:factorial", (-1,), 20.0) is None  # it raised
    assert apart("os:_exit", (3,), 20.0) is None  # it died
    assert apart("time:sleep", (30,), 0.2) is None  # it is killed
    assert apart("builtins:print", ("noise",), 20.0) is None
    assert apart("math:factorial", (6,), 20.0) == 720


@pytest.mark.parametrize(
    "answer, completion, right",
    [
        ("42", "I think it is 42.", 1),
        ("42", "42 apples and 3 pears", 0),
        ("42", "The answer is 42, of course.", 1),
        ("1000", "That makes 1,000!", 1),
        ("0.5", "1/2", 1),
        ("3.14 ± 0.01", "about 3.1415", 1),
        ("3.14 +- 0.001", "about 3.15", 0),
        ("42", "none", 0),
        ("none", "42", 0),
        ("42 ± x", "42", 0),
        ("-3", "It is -3.", 1),
        ("3", "It is -3.", 0),
    ],
)
def test_numbers(answer: str, completion: str, right: int) -> None:
    assert verify_number(completion, answer) == right
