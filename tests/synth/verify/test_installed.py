"""A package that is absent is told with its install command, and never counts as a wrong answer."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from gristmill.errors import GristmillError
from synth.verify.installed import require

WITHOUT = """
import importlib.util, sys
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == sys.argv[1] else real(name, *more)
from synth.verify import VERIFIERS
print(VERIFIERS["maths"]("1/2", "0.5"))
VERIFIERS[sys.argv[2]]("{}", '{"type": "object"}')
"""


def test_present_and_absent() -> None:
    require("json", "pyarrow")
    with pytest.raises(GristmillError, match=r"no_such_module not installed; `pip install"):
        require("no_such_module")


@pytest.mark.parametrize(
    "module, verifier, told",
    [
        ("math_verify", "maths", "gristmill[synth]"),
        ("antlr4", "maths", "math-verify[antlr4_13_2]"),
        ("jsonschema", "json_schema", "jsonschema not installed"),
    ],
)
def test_verifiers_raise_for_what_is_not_there(module: str, verifier: str, told: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITHOUT, module, verifier],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ended.stdout == "1.0\n" and ended.returncode and told in ended.stderr
