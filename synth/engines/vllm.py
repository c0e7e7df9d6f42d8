"""vLLM in this process or beside it: requests join and leave its batch one by one.

In: `engines: {main: {vllm: {model: models/qwen}}}`. Out: answers, as soon as each is done.
Shown by: `python -m pytest tests/synth/engines/test_vllm.py`.
Limit: one machine; several are reached through `openai` and `vllm serve`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from gristmill.errors import RecipeError
from synth.calls import Answer, EngineDied, Failure, Ready
from synth.engines import vllm_core, vllm_environment, vllm_params
from synth.engines.local import LocalEngine, LocalSpec

_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # of adapters, that vLLM has room for
_ALIVE = 0.5  # seconds between two looks whether the core lives


class VllmSpec(LocalSpec):
    """Settings; what is not set is vLLM's own default."""

    NAME: ClassVar[str] = "vllm"
    PLACE: ClassVar[frozenset[str]] = LocalSpec.PLACE | {
        "lora",
        "tensor_parallel_size",
        "gpu_memory_utilization",
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_prefix_caching",
        "enforce_eager",
        "kv_cache_gb",
        "own_process",
    }

    quantization: str | None = None
    lora: str = ""  # folder of an adapter, on for every request
    tensor_parallel_size: int = Field(default=1, ge=1)
    gpu_memory_utilization: float | None = Field(default=None, gt=0, le=1)
    max_num_seqs: int | None = Field(default=None, ge=1)
    max_num_batched_tokens: int | None = Field(default=None, ge=1)
    enable_prefix_caching: bool | None = None
    enforce_eager: bool | None = None  # default: on a CPU
    kv_cache_gb: float | None = Field(default=None, gt=0)  # on a CPU: an eighth, at most 4
    own_process: bool | None = None  # of the core; default: where there is an accelerator
    extra: dict[str, Any] = Field(default={})  # further EngineArgs

    def files(self) -> list[str]:
        adapter = self.adapter()
        more = sorted(str(path) for path in adapter.iterdir() if path.is_file()) if adapter else []
        return super().files() + more

    def packages(self) -> list[str]:
        return [*super().packages(), "vllm"]

    def check(self) -> None:
        if find_spec("vllm") is None:
            raise RecipeError("engine vllm needs the package vllm: `pip install vllm`")
        super().check()
        self.adapter()

    def settings(self) -> dict[str, Any]:
        quantization = {"quantization": self.quantization} if self.quantization else {}
        return {**super().settings(), **quantization, **self.extra}

    def adapter(self) -> Path | None:
        if not self.lora:
            return None
        folder = Path(self.lora).expanduser().absolute()
        if not (folder / "adapter_config.json").is_file():
            raise RecipeError(
                f"lora {self.lora!r} is no folder with adapter_config.json, as PEFT writes it"
            )
        return folder

    def open(self) -> VllmEngine:
        return VllmEngine(self)


class VllmEngine(LocalEngine):
    """The engine; see synth.calls.Engine."""

    def __init__(self, spec: VllmSpec, digests: Path | None = None) -> None:
        super().__init__(spec, digests)
        self.spec = spec
        self.capacity = 2 * (spec.max_num_seqs or 256)
        self._core: vllm_core.Core | None = None
        self._params = vllm_params.Params()
        self._under_way: dict[str, tuple[int, Ready]] = {}
        self._refused: list[tuple[int, Answer | Failure]] = []
        self._lora: Any = None

    def start(self) -> None:
        self.close()
        spec, limit = self.spec, self.rendering.max_len  # a hub id is fetched here, if at all
        vllm_environment.quiet()
        cpu = vllm_core.on_cpu()
        arguments = arguments_of(spec, limit, cpu)
        vllm_core.check_extra(spec.extra, set(arguments) | set(type(spec).model_fields))
        own = spec.own_process if spec.own_process is not None else not cpu
        try:
            self._core = vllm_core.Core({**arguments, **spec.extra}, own)
        except (ValueError, RuntimeError) as error:  # settings that cannot be; no memory
            raise RecipeError(f"vllm cannot load model {self.model.name!r}: {error}") from error
        scheduler = self._core.engine.vllm_config.scheduler_config
        self.capacity = 2 * int(scheduler.max_num_seqs)
        if adapter := spec.adapter():
            from vllm.lora.request import LoRARequest

            self._lora = LoRARequest("adapter", 1, str(adapter))

    def submit(self, ticket: int, call: Ready) -> None:
        from vllm.inputs import tokens_input
        from vllm.v1.engine.exceptions import EngineDeadError

        core = self._living()
        name = str(ticket)
        try:
            core.engine.add_request(
                name,
                tokens_input(list(call.tokens or ())),
                self._params.of(call),
                lora_request=self._lora,
            )
        except EngineDeadError as error:
            raise self._died(str(error)) from error
        except Exception as error:  # it was checked and refused: no other request is touched
            self._refused.append((ticket, Failure("rejected", str(error), call.key)))
            return
        self._under_way[name] = (ticket, call)

    def poll(self, wait: float) -> list[tuple[int, Answer | Failure]]:
        done, self._refused = self._refused, []
        until = time.monotonic() + wait
        while self._under_way:
            core = self._living()
            left = 0.0 if done else max(0.0, until - time.monotonic())
            if not core.waiting(min(left, _ALIVE)):
                if left == 0.0:
                    break
                continue
            done += self._finished(core)
            if not core.own_process and (done or left == 0.0):
                break  # a further step is a further pass of the model
        return done

    def abort(self, tickets: Sequence[int]) -> None:
        names = [str(ticket) for ticket in tickets if str(ticket) in self._under_way]
        for name in names:
            del self._under_way[name]
        if names and self._core is not None:
            self._core.engine.abort_request(names)

    def close(self) -> None:
        core, self._core = self._core, None
        self._under_way.clear()
        self._refused.clear()
        if core is not None:
            core.shut()

    def _living(self) -> vllm_core.Core:
        if self._core is None:
            raise EngineDied("vllm is not started")
        if self._core.dead():
            raise self._died("its process ended")
        return self._core

    def _finished(self, core: vllm_core.Core) -> list[tuple[int, Answer | Failure]]:
        try:
            outputs = core.engine.step()
        except Exception as error:  # whatever a step raises, the batch and its state are lost
            raise self._died(f"{type(error).__name__}: {error}") from error
        done: list[tuple[int, Answer | Failure]] = []
        for output in outputs:
            known = self._under_way.pop(output.request_id, None)
            if known is not None:
                ticket, ready = known
                done.append((ticket, vllm_params.answer(ready, output, self.rendering)))
        return done

    def _died(self, why: str) -> EngineDied:
        self.close()
        return EngineDied(f"vllm died: {why}")


def arguments_of(spec: VllmSpec, max_len: int, cpu: bool) -> dict[str, Any]:
    """EngineArgs of a spec; what the user left open is vLLM's to decide."""
    folder = str(spec.folder())
    arguments: dict[str, Any] = {
        "model": folder,
        "tokenizer": folder,
        "max_model_len": max_len,
        "dtype": spec.dtype,
        "quantization": spec.quantization,
        "tensor_parallel_size": spec.tensor_parallel_size,
        "enforce_eager": spec.enforce_eager if spec.enforce_eager is not None else cpu,
        "generation_config": "vllm",  # else the model's folder changes sampling silently
        "max_logprobs": -1,
        "disable_log_stats": True,
        "use_tqdm_on_load": False,
        "seed": 0,
    }
    for key in (
        "gpu_memory_utilization",
        "max_num_seqs",
        "max_num_batched_tokens",
        "enable_prefix_caching",
    ):
        if getattr(spec, key) is not None:
            arguments[key] = getattr(spec, key)
    gigabytes = spec.kv_cache_gb
    if cpu:
        # A prompt taken in parts winds a seeded generator back, which CPU generators cannot do:
        # the whole core dies (vLLM 0.32: "CPU Generator does not use offset").
        arguments["enable_chunked_prefill"] = False
        arguments.setdefault("max_num_batched_tokens", max(4096, max_len))
        gigabytes = gigabytes or vllm_core.cpu_cache_gb()
    if gigabytes is not None:
        arguments["kv_cache_memory_bytes"] = int(gigabytes * 2**30)
    if spec.pooling:
        arguments["runner"] = "pooling"
    if adapter := spec.adapter():
        rank = int(json.loads((adapter / "adapter_config.json").read_text("utf-8"))["r"])
        room = next((size for size in _RANKS if size >= rank), rank)
        arguments |= {"enable_lora": True, "max_loras": 1, "max_lora_rank": room}
    return arguments
