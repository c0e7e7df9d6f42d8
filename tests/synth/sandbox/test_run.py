"""A run: what comes back, what a program sees, and that it is the same every time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from gristmill.stopping import ready, stoppable
from synth.sandbox import run
from tests.conftest import ROOT
from tests.synth.sandbox.here import needs_sandbox

needs_sandbox()


def test_stdin_files_output_and_exit_code() -> None:
    program = """
import sys
from folder.helper import twice
print(twice(int(input())), open("data.txt").read())
print("oh", file=sys.stderr)
sys.exit(3)
"""
    files = {"folder/helper.py": "def twice(x): return 2 * x\n", "data.txt": "größe"}
    outcome = run(program, stdin="21\n", files=files)
    assert (outcome.returncode, outcome.signal, outcome.why) == (3, "", "")
    assert outcome.stdout == "42 größe\n"
    assert outcome.stderr == "oh\n"


def test_a_program_that_dies_of_a_signal() -> None:
    outcome = run("import os\nos.abort()\n")
    assert (outcome.signal, outcome.returncode) == ("SIGABRT", 128 + signal.SIGABRT)


def test_a_program_that_a_request_to_stop_ends_runs_again() -> None:
    """SIGTERM to a whole job reaches sandboxes too, and must not become the verdict."""

    before = children()

    def end_all() -> None:
        while not (found := children() - before):
            time.sleep(0.01)
        for process in (os.getpid(), *found):
            os.kill(process, signal.SIGTERM)

    with stoppable():
        ready()
        thread = threading.Thread(target=end_all)
        thread.start()
        outcome = run("import time\ntime.sleep(1)\nprint('whole')\n")
        thread.join()
    assert (outcome.returncode, outcome.stdout) == (0, "whole\n")


def children() -> set[int]:
    """Processes that this one has started."""
    files = Path("/proc/self/task").glob("*/children")
    return {int(child) for file in files for child in file.read_text().split()}


def test_output_that_is_no_text_is_replaced() -> None:
    assert run("import os\nos.write(1, b'a\\xffb')").stdout == "a\ufffdb"


def test_it_is_the_python_that_runs_us() -> None:
    assert run("import sys\nprint(sys.version)").stdout.strip() == sys.version


def test_packages_beside_us_can_be_imported() -> None:
    outcome = run("import numpy\nprint(numpy.arange(4).sum())")
    assert outcome.stdout == "6\n", outcome.stderr


def test_threads_processes_and_event_loops_work() -> None:
    outcome = run("""
import asyncio, subprocess, threading
from concurrent.futures import ProcessPoolExecutor
thread = threading.Thread(target=print, args=("thread",))
thread.start()
thread.join()
asyncio.run(asyncio.sleep(0))
print(subprocess.run(["echo", "child"], capture_output=True, text=True).stdout.strip())
with ProcessPoolExecutor(2) as pool:
    print(list(pool.map(abs, [-1, -2])))
""")
    assert outcome.stdout == "thread\nchild\n[1, 2]\n", outcome.stderr


def test_outcomes_repeat() -> None:
    program = "print({'a', 'b', 'c', 'd'}, hash('x'))\nimport os\nprint(os.getpid(), os.getcwd())"
    assert len({run(program).stdout for _ in range(4)}) == 1


def test_nothing_of_one_run_is_there_in_the_next() -> None:
    program = "import os\nprint(sorted(os.listdir('.') + os.listdir('/tmp')))\nopen('left', 'w')"
    first, second = run(program), run(program)
    assert first.stdout == second.stdout == "['main.py', 'work']\n"


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "", ".", "main.py", "./x"])
def test_files_lie_in_the_working_folder(name: str) -> None:
    with pytest.raises(RecipeError, match="relative path"):
        run("", files={name: ""})


def test_a_program_can_be_stopped() -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    outcome = run("while True: pass", stop=stop)
    assert (outcome.why, outcome.signal) == ("killed", "SIGKILL")


def test_it_uses_no_descriptors_up() -> None:
    run("")
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        run("print(1)")
    assert len(os.listdir("/proc/self/fd")) == before


def test_programs_die_with_us() -> None:
    """Killed without a chance to clean up, we leave no program behind."""
    marker = f"orphan-{os.getpid()}"
    code = (
        "from synth.sandbox import run; run('import time; time.sleep(1000)', "
        f"command=('python3', 'main.py', '{marker}'))"
    )
    ours = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        _wait_for(marker, there=True)
    finally:
        ours.kill()
        ours.wait()
    _wait_for(marker, there=False)


def _wait_for(marker: str, there: bool) -> None:
    """Until a process with this argument is there, and a Python at that, or no longer."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _is(path, marker)]
        if bool(found) == there:
            return
        time.sleep(0.02)
    pytest.fail(f"{marker}: there={not there} after a minute")


def _is(path: Path, marker: str) -> bool:
    try:
        words = path.read_bytes().split(b"\0")
    except OSError:
        return False
    return marker.encode() in words and b"main.py" in words[:3] if words else False
