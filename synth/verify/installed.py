"""Packages that a verifier needs: their absence is an error of the place, not a wrong answer.

In: module names. Out: nothing, or GristmillError with the install command.
Shown by: `python -m pytest tests/synth/verify/test_installed.py`.
Limit: whether they work is not tried.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

from gristmill.errors import GristmillError

SYMBOLIC = ("math_verify", "antlr4")  # math-verify installs without its parser's runtime


@cache
def require(*modules: str) -> None:
    """Raise unless all are installed."""
    absent = [module for module in modules if find_spec(module) is None]
    if absent:
        raise GristmillError(
            f"{' and '.join(absent)} not installed; `pip install 'gristmill[synth]'"
            f"{' math-verify[antlr4_13_2]' if 'antlr4' in absent else ''}`"
        )
