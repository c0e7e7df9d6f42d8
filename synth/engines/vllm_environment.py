"""What vLLM finds in the environment: quiet logs, its cores, and no hub.

In: the process's environment. Out: the same, changed for good (`quiet`) or while a model loads.
Shown by: `python -m pytest tests/synth/engines/test_vllm.py -k hub`.
Limit: the environment is the process's: two models cannot load at once in one process.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator


def quiet() -> None:
    """vLLM's logs: warnings only and never on stdout, unless the user's environment says more."""
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")


@contextlib.contextmanager
def loading(own_process: bool) -> Iterator[None]:
    """What vLLM reads from the environment while it loads, given back afterwards.

    Our workers run with OMP_NUM_THREADS=1; the model may use all cores that we may. No hub is
    asked, by this process or one that it starts; a later step's tokenizer is fetched as ever.
    """
    import torch
    from huggingface_hub import constants  # reads the environment as it is imported: before us

    cores = len(os.sched_getaffinity(0))
    wanted = {
        "VLLM_ENABLE_V1_MULTIPROCESSING": "1" if own_process else "0",
        "OMP_NUM_THREADS": str(cores),
        "HF_HUB_OFFLINE": "1",
    }
    before = {name: os.environ.get(name) for name in [*wanted, "LD_PRELOAD"]}
    threads, set_threads = torch.get_num_threads(), torch.set_num_threads
    offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    os.environ.update(wanted)
    if not own_process:
        torch.set_num_threads(cores)
    try:
        yield
    finally:
        torch.set_num_threads = set_threads  # vLLM's CPU worker replaces it by one that only warns
        if own_process:
            torch.set_num_threads(threads)
        constants.HF_HUB_OFFLINE = offline
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
