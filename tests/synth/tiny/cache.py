"""Build the tiny models once and keep them: named by a digest of all that makes them.

In: ../shared/data, the files of this folder, synth/prompts. Out: a model folder under .bench/tiny.
Shown by: `python -m tests.synth.tiny.cache`. Limit: old builds are left; `make clean` removes them.

Two processes may ask at once: one builds, in a process of its own so that threads and seeds of
the caller stay as they are, and the other waits for its lock.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

HOME = ROOT / ".bench" / "tiny"
DATA = Path(os.environ.get("GRISTMILL_TEST_DATA", ROOT.parent / "shared" / "data"))
WRITER_SOURCES = (
    "abilities batches circuit functions lessons passages programs requests sums tasks tokenizer "
    "train verdicts writing"
).split()
DONE = "config.json"  # of a folder that was renamed into place


def digest(names: list[str]) -> str:
    """12 hex digits of these sources, the prompts, and the versions of what trains."""
    state = hashlib.sha256()
    here = Path(__file__).parent
    paths = [*(here / f"{name}.py" for name in names)]
    paths += [*sorted((ROOT / "synth" / "prompts").glob("*.md")), ROOT / "requirements-train.txt"]
    for path in paths:
        state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()[:12]


def writer_folder() -> Path:
    """The folder of the language model; trained now if it is not there (about three minutes)."""
    return _built(HOME / f"writer-{digest(WRITER_SOURCES)}", "writer")


def reward_folder() -> Path:
    """The folder of the reward model, which starts from the writer (another minute)."""
    writer_folder()
    return _built(HOME / f"reward-{digest([*WRITER_SOURCES, 'reward'])}", "reward")


def _built(folder: Path, what: str) -> Path:
    if (folder / DONE).is_file():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (folder / DONE).is_file():
            return folder
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        command = [sys.executable, "-m", "tests.synth.tiny.cache", what, str(unfinished)]
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE"}  # others may want the cores
        subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=sys.stderr)
        unfinished.rename(folder)
    return folder


def main() -> None:
    """`cache`: build what is not there and name the folders; `cache writer FOLDER`: build one."""
    if len(sys.argv) < 3:
        print(writer_folder(), reward_folder(), sep="\n")
        return
    from tests.synth.tiny.passages import read_passages

    passages, _ = read_passages(DATA)
    if sys.argv[1] == "writer":
        from tests.synth.tiny.train import train_writer

        train_writer(Path(sys.argv[2]), passages)
    else:
        from tests.synth.tiny.reward import train_reward

        train_reward(Path(sys.argv[2]), writer_folder(), passages)


if __name__ == "__main__":
    main()
