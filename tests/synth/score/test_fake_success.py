"""No program passes tests that it does not solve."""

from __future__ import annotations

import pytest

from tests.synth.sandbox.here import needs_sandbox
from tests.synth.score.examined import rate, score

needs_sandbox()

ALWAYS = """
class Always:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __lt__
    def __sub__(self, other): return 0
    __rsub__ = __add__ = __radd__ = __sub__
    def __abs__(self): return 0
    def __float__(self): return 0.0
    def __hash__(self): return 0
"""
CHEATS = {
    "leaves at once": "import os\nos._exit(0)",
    "leaves politely": "import sys\nsys.exit(0)",
    "leaves when asked": "import os\ndef f(x): os._exit(0)",
    "leaves politely when asked": "def f(x): raise SystemExit(0)",
    "prints what an examiner prints": """
import json, os, sys
lines = [{"total": 2}, {"passed": "x", "counts": 1}, {"passed": "x", "counts": 1}, {"printed": ""}]
for line in lines:
    print(json.dumps(line))
    for number in range(64):
        try: os.write(number, (json.dumps(line) + "\\n").encode())
        except OSError: pass
def f(x): return None
""",
    "answers before it is asked": """
import os
for number in range(3, 64):
    try: os.write(number, b'{"value": 4}\\n' * 50)
    except OSError: pass
def f(x): return None
""",
    "an object that equals everything": ALWAYS + "def f(x): return Always()",
    "a number that equals everything": """
class Number(int):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0
    __hash__ = int.__hash__
def f(x): return Number(0)
""",
    "a list that equals everything": """
class List(list):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
def f(x): return List()
""",
    "new builtins": """
import builtins
builtins.AssertionError = type("Quiet", (Exception,), {})
builtins.abs = lambda x: 0
builtins.isinstance = lambda *_: True
def abs(x): return 0
def f(x): return 0
""",
    "patched modules": """
import json, operator, ast, sys, math
json.dumps = lambda *_, **__: '{"value": 4}'
operator.eq = lambda *_: True
math.isclose = lambda *_: True
sys.modules["unittest"] = None
def f(x): return 0
""",
    "a false module beside it": """
for name in ("decimal", "unittest", "math", "inside", "asyncio", "numpy", "fractions"):
    open(name + ".py", "w").write("import os\\nos.write(1, b'x')\\nos._exit(0)")
def f(x): return 0
""",
    "false files of the examiner": """
import os
for folder in (".", "inside"):
    try:
        os.rename(folder + "/units.py", folder + "/old.py")
        open(folder + "/units.py", "w").write("")
    except OSError: pass
def f(x): return 0
""",
    "a search for the tests": """
import gc, os, sys
text = ""
for thing in gc.get_objects():
    if isinstance(thing, dict) and "tests" in thing and "program" in thing:
        text = str(thing["tests"])
for number in range(64):
    try: text += os.read(number, 0) and ""
    except (OSError, TypeError): pass
frame = sys._getframe()
while frame:
    text += str(frame.f_locals.get("tests", ""))
    frame = frame.f_back
def f(x): return 4 if "== 4" in text else 0
""",
    "signals to the examiner": """
import os, signal
os.kill(os.getppid(), signal.SIGSTOP)
os.kill(os.getppid(), signal.SIGKILL)
def f(x): return 4
""",
    "a lying exception": """
class AssertionError(Exception): pass
def f(x): raise StopIteration(4)
""",
    "tracing and threads": """
import sys, threading
sys.settrace(lambda *_: None)
threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()
def f(x): return 0
""",
    "arguments that change": "def f(x):\n    return globals().setdefault('seen', []).append(x)",
}


@pytest.mark.parametrize("name", CHEATS)
def test_success_cannot_be_faked(name: str) -> None:
    tests = """
import math
assert f(2) == 4
assert abs(f(3) - 9.0) < 1e-6
assert not f(4) != 16
assert math.isclose(f(5), 25)
assert 35 < f(6) < 37
assert f([7]) in ([49], 49)
def test_it():
    assert f(8) == 64
"""
    if name == "signals to the examiner":  # it answers f(2) rightly, and must get nothing for it
        tests = "assert f(2) == 4\nassert f(2) == 4"
    fields, _ = score(CHEATS[name], tests)
    assert fields["passed"] is False
    assert fields["passed_rate"] == 0.0, fields
    assert fields["passed_feedback"]


def test_a_function_lent_to_a_program_gives_it_no_more() -> None:
    """`eval`, an attribute of a function, a private name: nothing opens the examiner to it."""
    program = """
def f(*given):
    reached = []
    for one in given:
        for name in ("__globals__", "__class__", "__self__", "_secret"):
            try:
                reached.append(getattr(one, name))
            except Exception as error:
                assert "may not" in str(error) or isinstance(error, AttributeError), error
    import sys
    return ["examiner" in str(reached), given[1]("'inside.units' in __import__('sys').modules")]
"""
    tests = """
class Holder:
    _secret = "examiner"
assert f(lambda: 1, eval, Holder()) == [False, False]
"""
    fields, _ = score(program, tests)
    assert fields["passed"], fields["passed_feedback"]


def test_what_the_limit_says_holds() -> None:
    """Two objects of the program are compared by the program: this is the limit that remains."""
    program = ALWAYS + "def f(x): return Always()"
    assert rate(program, "assert f(1) == f(2)") == 1.0
    assert rate(program, "assert f(1) == 1") == 0.0
