"""Attack the sandbox of this machine and print what came of it.

In: nothing. Out: a table, one attack a line; exit code 1 where one got through.
Shown by: `python -m synth.sandbox`. Limit: takes about half a minute.
"""

from __future__ import annotations

import sys

from rich.console import Console
from rich.table import Table

from synth.sandbox.attacks import ATTACKS, Result, attack
from synth.sandbox.available import available


def main() -> int:
    """Run every attack, one after another."""
    reason = available()
    if reason:
        print(reason, file=sys.stderr)
        return 2
    table = Table("attack", "how it ended", "")
    results = []
    for name in ATTACKS:
        results.append(attack(name))
        table.add_row(name, ending(results[-1]), "; ".join(results[-1].breaches) or "held")
    Console().print(table)
    return int(any(result.breaches for result in results))


def ending(result: Result) -> str:
    """In a few words."""
    outcome = result.outcome
    if outcome.why:
        return f"stopped: {outcome.why}"
    if outcome.signal:
        return f"died: {outcome.signal}"
    return f"exit code {outcome.returncode}"


if __name__ == "__main__":
    sys.exit(main())
