"""A trainer's data side as a process of its own, to be killed: ranks, workers, and a state file.

python -m tests.mixtures.consume STORE STATE OUT WORLD WORKERS COUNT
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import DataLoader

from mixtures.plan import open_plan
from mixtures.plan.adapters import collate


def digest(row: Iterable[Any]) -> str:
    """What identifies a row: its three arrays and its source."""
    return hashlib.sha256(b"".join(np.asarray(x, np.int64).tobytes() for x in row)).hexdigest()


def main() -> None:
    """Go on at the state; write each row's digest, then the state, in global order."""
    store, state_file, out = (Path(argument) for argument in sys.argv[1:4])
    world, workers, count = (int(argument) for argument in sys.argv[4:])
    state = json.loads(state_file.read_text())
    plan = open_plan(str(store), state["mixture"])
    position = plan.resume(state)
    loaders = [
        iter(
            DataLoader(
                plan.rank(rank, world, position),  # type: ignore[arg-type]
                batch_size=3,
                num_workers=workers,
                collate_fn=collate,
            )
        )
        for rank in range(world)
    ]
    with open(out, "a") as file:
        for _ in range(0, count, 3 * world):
            batches = [next(loader) for loader in loaders]
            for turn in range(3):
                for batch in batches:
                    assert int(batch["row"][turn]) == position
                    names = ("input_ids", "labels", "position_ids", "source")
                    file.write(digest(batch[name][turn].numpy() for name in names) + "\n")
                    file.flush()
                    position += 1
                    temporary = state_file.with_suffix(".new")
                    temporary.write_text(json.dumps(plan.state(position)))
                    os.replace(temporary, state_file)


if __name__ == "__main__":
    main()
