"""score.verifier with `code`: programs against a row's tests, in the real sandbox."""

from __future__ import annotations

import pytest

from synth.calls import Answer, Execute
from synth.items import Item, Row
from synth.ops import parse_op
from synth.sandbox import Limits, run
from synth.verify.code import program
from tests.synth.sandbox.here import needs_sandbox

needs_sandbox()
TESTS = "assert add(1, 2) == 3\nassert add(-1, 1) == 0"
GOOD = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```\nIt adds."
BAD = [
    "```python\ndef add(a, b):\n    return a - b\n```",
    "```python\ndef add(a, b):\n    return 3\n```",
    "```python\nimport sys\nsys.exit(0)\n```",
    "```python\ndef add(a, b):\n    while True: pass\n```",
    "I cannot do that.",
    "```bash\necho 3\n```",
    "",
]


def test_programs_are_judged_by_all_their_tests() -> None:
    row = Row(id="r", number=0, source={}, seed=0)
    items = [Item({"response": t, "answer": TESTS, "verifier": "code"}) for t in [GOOD, *BAD]]
    flow = parse_op({"score": "verifier"}).run(items, row)
    answers = []
    for call in next(flow):
        assert isinstance(call, Execute)
        limits = Limits(cpu=2)
        outcome = run(call.program, stdin=call.stdin, files=call.files, limits=limits)
        answers.append(Answer(value=outcome))
    with pytest.raises(StopIteration) as end:
        flow.send(answers)
    assert [item.fields["reward"] for item in end.value.value] == [1.0, *[0.0] * len(BAD)]
    assert row.lost == []


@pytest.mark.parametrize(
    "completion, found",
    [
        ("```python\na = 1\n```\nor\n```py\na = 2\n```", "a = 2"),
        ("```bash\nls\n```", ""),
        ("a = 1", "a = 1"),
        ("```\na = 1", "a = 1"),
    ],
)
def test_programs(completion: str, found: str) -> None:
    assert program(completion) == found
