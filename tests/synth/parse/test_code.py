"""Fenced blocks of code."""

from __future__ import annotations

import pytest

from tests.synth.parse.parsing import parsed

TWO = "First:\n```python\na = 1\n```\nthen\n```\nb = 2\n```\nand\n~~~js\nc\n~~~\n"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "c"),
        ({"which": "first"}, "a = 1"),
        ({"which": "all"}, "a = 1\n\nb = 2\n\nc"),
        ({"language": "python"}, "a = 1"),
        ({"language": "py"}, "a = 1"),
        ({"language": "javascript"}, "c"),
        ({"language": "rust"}, "b = 2"),  # none says so: one that says nothing
    ],
)
def test_which_block(options: dict[str, str], code: str) -> None:
    assert parsed({"code": options}, TWO)["code"] == code


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("````markdown\n```python\nx\n```\n````", "```python\nx\n```"),
        ("1. So:\n   ```python\n   if x:\n       y\n   ```", "if x:\n    y"),
        ("``` {.python}\nx\n```", "x"),
        ("Use ```x``` here.\n```\ny\n```", "y"),
        ("```x``` is code.\n```\ny\n```", "y"),
        ('```python\ns = """\n\n"""\n```', 's = """\n\n"""'),
    ],
)
def test_fences(text: str, code: str) -> None:
    assert parsed({"code": None}, text)["code"] == code


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("def f(): pass", "unparsable"),
        ("```python\n\n```", "unparsable"),
        ("```python\ndef f():", "no_closing_tag"),
        ("```\na\n```\n```\nb", "no_closing_tag"),
    ],
)
def test_failures_are_typed(text: str, reason: str) -> None:
    assert parsed("code", text)[0] == reason
