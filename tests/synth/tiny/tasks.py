"""The table of tasks: each prompt file of synth/prompts, and the abilities, to ideal answers.

In: the name of a prompt file. Out: the function that draws a lesson for it.
Shown by: `python -m tests.synth.tiny.tasks diverse_qa`.
Limit: the model knows the prompts of this table as they are worded; a new prompt file needs a
line here (tests/synth/test_tiny.py says so).
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random

from tests.synth.tiny.abilities import ABILITIES
from tests.synth.tiny.lessons import Task
from tests.synth.tiny.passages import read_passages
from tests.synth.tiny.programs import PROGRAMS
from tests.synth.tiny.requests import REQUESTS
from tests.synth.tiny.verdicts import VERDICTS
from tests.synth.tiny.writing import WRITING

RECIPES: dict[str, Task] = {**WRITING, **REQUESTS, **PROGRAMS, **VERDICTS}
TASKS: dict[str, Task] = {**ABILITIES, **RECIPES}
WEIGHTS = {  # others 1
    "add": 4.0,
    "solve_maths": 8.0,
    "sums_table": 2.0,
    "answer": 2.0,
    "magpie_tag": 2.0,
    "rewire": 2.0,
    "tutorship_review": 3.0,
    "tutorial": 3.0,
    "code": 0.5,
    "code_problem": 2.0,
    "code_solve": 3.0,
    "code_tests": 2.5,
    "code_repair": 2.0,
    "code_from_document": 2.0,
    "wrap": 2.0,
    "think": 1.0,
}


if __name__ == "__main__":
    train, _ = read_passages(Path(__file__).resolve().parents[4] / "shared" / "data")
    for task in sys.argv[1:] or list(TASKS):
        lesson = TASKS[task](Random(1), train)
        for message in lesson.messages:
            print(f"[{message['role']}]\n{message['content']}")
        print(f"[{task}: answer]\n{lesson.answer}\n")
