"""Print rows of a task.

In: a task's name, how many rows, and `parameter=value` pairs. Out: rows as JSON.
Shown by: `python -m synth.procedural mano 3 length=13`. Limit: seed 0.
"""

from __future__ import annotations

import json
import sys

import yaml

from gristmill.errors import RecipeError
from synth.procedural.tasks import TASKS, rows


def main(arguments: list[str]) -> int:
    """Print the rows; 2 where the task or a parameter is wrong."""
    if not arguments:
        print("\n".join(f"{name:14}{task.about}" for name, task in TASKS.items()))
        return 0
    count = next((int(a) for a in arguments[1:] if a.isdigit()), 1)
    given = dict(a.split("=", 1) for a in arguments[1:] if "=" in a)
    try:
        for row in rows(arguments[0], count, 0, **{k: yaml.safe_load(v) for k, v in given.items()}):
            print(json.dumps(row, ensure_ascii=False, indent=1))
    except RecipeError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
