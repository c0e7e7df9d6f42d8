"""Tests as text into single tests: asserts, calls, test functions, test methods.

In: Python that uses the program's names. Out: units in order; setup between them counts for none.
Shown by: `python -m pytest tests/synth/score/test_tests.py`.
Limit: no fixtures and no parametrised tests of pytest.
"""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

LEFT, RIGHT = "_left_side", "_right_side"
BLOCKS = (ast.For, ast.While, ast.With, ast.If, ast.Try, ast.AsyncFor, ast.AsyncWith)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Unit(NamedTuple):
    """One test, or (counts 0) a line of setup that must not fail."""

    code: str  # as written, for feedback
    body: list[ast.stmt]
    counts: int

    def run(self, space: dict[str, Any]) -> None:
        """Raises where it fails."""
        space.pop(LEFT, None)
        exec(compile(ast.Module(self.body, []), "tests.py", "exec"), space)


def used_names(tests: str) -> set[str]:
    """Every name that the tests read."""
    return {node.id for node in ast.walk(ast.parse(tests)) if isinstance(node, ast.Name)}


def units(tests: str) -> list[Unit]:
    """The tests in the order in which they run."""
    body, lines = ast.parse(tests).body, tests.split("\n")
    called = {
        node.func.id
        for node in ast.walk(ast.Module(body, []))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    found, later = [], []
    for node in body:
        code = _source(lines, node)
        if isinstance(node, ast.Assert):
            found.append(Unit(code, _two_sides(node), 1))
        elif isinstance(node, ast.Expr):
            if isinstance(node.value, ast.Constant) or code.startswith(("unittest.main", "print(")):
                continue
            found.append(Unit(code, [node], 1))
        else:
            found.append(Unit(code, [node], int(isinstance(node, BLOCKS) and _asserts(node))))
        if isinstance(node, FUNCTIONS) and _is_test(node) and node.name not in called:
            later.append(_call(code, node, f"{node.name}()"))
        if isinstance(node, ast.ClassDef):
            later += _methods(lines, node)
    return found + later


def failure(error: BaseException, unit: Unit, space: dict[str, Any]) -> str:
    """Why a unit failed, in a few lines: what came out, what the program raised and where."""
    name = type(error).__name__
    if isinstance(error, AssertionError) and LEFT in space:
        return f"{name}: got {_short(space[LEFT])}, compared with {_short(space[RIGHT])}"
    if error.__dict__.get("trace"):
        return in_program(error)
    if isinstance(error, AssertionError) and not str(error):
        import traceback  # slow, and seldom needed

        last = traceback.extract_tb(error.__traceback__)[-1]
        return f"{name} in {last.name}, line {last.lineno} of the tests"
    return f"{name}: {error}"[:1000]


def in_program(error: BaseException) -> str:
    """The part of a traceback that lies in the program, or the error alone."""
    lines = error.__dict__.get("trace", "").splitlines()
    mine = [number for number, line in enumerate(lines) if 'File "solution.py"' in line]
    if not mine:
        return f"{type(error).__name__}: {error}"[:1000]
    return "\n".join(lines[mine[0] :])[-1000:]


def _two_sides(node: ast.Assert) -> list[ast.stmt]:
    """`assert a == b` so that both values can be told where it fails."""
    test = node.test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return [node]
    sides = [(LEFT, test.left), (RIGHT, test.comparators[0])]
    kept: list[ast.stmt] = [ast.Assign([ast.Name(n, ast.Store())], value) for n, value in sides]
    names: list[ast.expr] = [ast.Name(name, ast.Load()) for name, _ in sides]
    kept.append(ast.Assert(ast.Compare(names[0], test.ops, names[1:]), node.msg))
    for one in kept:
        ast.fix_missing_locations(ast.copy_location(one, node))
    return kept


def _asserts(node: ast.AST) -> bool:
    return any(
        isinstance(one, ast.Assert) or _asserts(one)
        for one in ast.iter_child_nodes(node)
        if not isinstance(one, (*FUNCTIONS, ast.ClassDef, ast.Lambda))
    )


def _is_test(node: ast.FunctionDef | ast.AsyncFunctionDef, bound: int = 0) -> bool:
    required = len(node.args.args) - len(node.args.defaults)
    return node.name.startswith("test") and required == bound


def _call(code: str, node: ast.stmt, call: str) -> Unit:
    if isinstance(node, ast.AsyncFunctionDef):
        call = f"__import__('asyncio').run({call})"
    return Unit(code, ast.parse(call).body, 1)


def _source(lines: list[str], node: ast.stmt) -> str:
    """The lines of a statement; ast's own way is quadratic in the number of tests."""
    return "\n".join(lines[node.lineno - 1 : node.end_lineno]).strip()


def _methods(lines: list[str], node: ast.ClassDef) -> list[Unit]:
    """Test methods of a TestCase, or of a plain class named Test…."""
    case = any("TestCase" in ast.unparse(base) for base in node.bases)
    if not case and not node.name.startswith("Test"):
        return []
    found = []
    for one in node.body:
        if isinstance(one, FUNCTIONS) and _is_test(one, 1):
            code = _source(lines, one)
            call = f"{node.name}({one.name!r}).debug()" if case else f"{node.name}().{one.name}()"
            found.append(Unit(code, ast.parse(call).body, 1))
    return found


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except Exception as error:
        return f"a value whose repr raises {type(error).__name__}"
    return text if len(text) <= 300 else f"{text[:200]} … {text[-80:]}"
