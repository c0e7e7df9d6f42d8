"""A loaded vLLM: its engine arguments, and an end that leaves no process behind.

In: EngineArgs and where the core runs. Out: vLLM's LLMEngine; `shut` frees it.
Shown by: `python -m pytest tests/synth/engines/test_vllm.py`.
Limit: where the core runs in this process, one that dies takes this process's memory with it.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

from gristmill.errors import RecipeError, nearest
from synth.engines.vllm_environment import loading

# Ends the processes that it is told of when our end of its pipe closes, whatever closed it: vLLM's
# core would outlive a parent that was killed with -9, and keep its memory. A pidfd names a
# process for good, so a number that was given anew is never hit.
_WARDEN = """
import os, signal, sys
held = []
for line in sys.stdin:
    if line == "done\\n":
        sys.exit()
    try:
        held.append(os.pidfd_open(int(line)))
    except OSError:
        pass
for fd in held:
    try:
        signal.pidfd_send_signal(fd, signal.SIGKILL)
    except OSError:
        pass
"""


def on_cpu() -> bool:
    """Whether vLLM found no accelerator."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def cpu_cache_gb() -> float:
    """Memory for keys and values: an eighth of this machine's, at most 4 GB. vLLM takes 90 %."""
    return min(4.0, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**33)


def check_extra(extra: dict[str, Any], ours: set[str]) -> None:
    """RecipeError for keys that EngineArgs does not have, or that have a key of their own."""
    from dataclasses import fields

    from vllm import EngineArgs

    known = {field.name for field in fields(EngineArgs)}
    for key in extra:
        if key in ours:
            raise RecipeError(f"extra.{key}: it has a key of its own; move it out of `extra`")
        if key not in known:
            raise RecipeError(
                f"extra has an unknown key {key!r}; it takes vLLM's EngineArgs{nearest(key, known)}"
            )


def _keep_scan_off_llvmlite() -> None:
    """Let vLLM look through all modules for kernels when numba is loaded too.

    Its CPU platform reads `vars(value)["kernel"]` of every attribute of every module, and
    llvmlite's library object answers to any name, `__dict__` too, with a C function.
    """
    ffi = sys.modules.get("llvmlite.binding.ffi")
    if ffi is None or hasattr(ffi._lib_wrapper, "gristmill_guard"):
        return
    plain = ffi._lib_wrapper.__getattr__

    def guarded(self: Any, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return plain(self, name)

    ffi._lib_wrapper.__getattr__ = guarded
    ffi._lib_wrapper.gristmill_guard = True


class Core:
    """One LLMEngine, and the warden of its processes where it has any."""

    def __init__(self, arguments: dict[str, Any], own_process: bool) -> None:
        from vllm import EngineArgs
        from vllm.v1.engine.llm_engine import LLMEngine

        _keep_scan_off_llvmlite()
        self.own_process = own_process
        self._warden = _Warden() if own_process else None
        try:
            with loading(own_process), self._watched():
                self.engine: Any = LLMEngine.from_engine_args(
                    EngineArgs(**arguments), enable_multiprocessing=own_process
                )
            if not own_process:
                _HERE.add(self)
        except BaseException:
            if self._warden is not None:
                self._warden.end(kill=True)
            raise

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        if self._warden is None:
            yield
            return
        loaded = threading.Event()
        thread = threading.Thread(target=self._warden.follow, args=(loaded,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            loaded.set()
            thread.join()

    def dead(self) -> bool:
        """Whether the core's process is gone; vLLM's own `step` would wait for it for ever."""
        return bool(self.own_process and self.engine.engine_core.resources.engine_dead)

    def waiting(self, seconds: float) -> bool:
        """Whether a step would find something at once, after at most so many seconds."""
        if not self.own_process:
            return True
        queue = self.engine.engine_core.outputs_queue
        with queue.not_empty:
            return bool(queue.not_empty.wait_for(lambda: len(queue.queue) > 0, seconds))

    def shut(self) -> None:
        """End the core and free what it held."""
        engine, self.engine = self.engine, None
        if engine is None:
            return
        _HERE.discard(self)
        with _shared_groups_kept() if not self.own_process and _HERE else contextlib.nullcontext():
            engine.engine_core.shutdown()
        if self._warden is not None:
            self._warden.end(kill=False)
        del engine
        gc.collect()


_HERE: set[Core] = set()  # cores that run in this process


class _Warden:
    """A small process that outlives us by an instant."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _WARDEN],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C and a kill of our group leave it its work
        )

    def follow(self, loaded: threading.Event) -> None:
        """Tell it of every child that multiprocessing starts while a core is being loaded."""
        known = {child.pid for child in multiprocessing.active_children()}
        last = False
        while not last:
            last = loaded.wait(0.05)
            for child in multiprocessing.active_children():
                if child.pid not in known:
                    known.add(child.pid)
                    self._tell(f"{child.pid}\n")

    def end(self, kill: bool) -> None:
        if not kill:
            self._tell("done\n")
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()


@contextlib.contextmanager
def _shared_groups_kept() -> Iterator[None]:
    """A core that ends takes the process's communication groups away, on which others still run."""
    from vllm.v1.engine import core

    take_away = core.cleanup_dist_env_and_memory
    core.cleanup_dist_env_and_memory = lambda *_, **__: None
    try:
        yield
    finally:
        core.cleanup_dist_env_and_memory = take_away
