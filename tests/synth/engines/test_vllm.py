"""vLLM for real, on its CPU build: against transformers, in and out of this process, killed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import EngineDied, Failure, Generate, Reward, Sampling, ScoreTokens, Structure
from synth.engines.spec import parse_spec
from tests.extras import needs
from tests.synth.engines.tiny import build_llama, one_thread, run

needs("torch", "transformers", "vllm")
pytestmark = pytest.mark.slow

GREEDY = Sampling(max_tokens=12, temperature=0)
WARM = Sampling(max_tokens=12, temperature=1.0)
TOLD = os.environ.get("HF_HUB_OFFLINE")
SMALL = {"dtype": "float32", "kv_cache_gb": 0.25}


def open_vllm(folder: Path, **options: Any) -> Any:
    spec = parse_spec("main", {"vllm": {"model": str(folder), **SMALL, **options}})
    spec.check()
    return spec.open()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_llama(tmp_path_factory.mktemp("llama"))


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Any]:
    made = open_vllm(folder)
    made.start()
    one_thread()
    yield made
    made.close()


@pytest.fixture(scope="module")
def plain(folder: Path) -> Iterator[Any]:
    made = parse_spec("main", {"transformers": {"model": str(folder), "dtype": "float32"}}).open()
    made.start()
    one_thread()
    yield made
    made.close()


def asks(sampling: Sampling, count: int = 6) -> list[Generate]:
    return [Generate("main", sampling, 100 + n, text="count" * n + str(n)) for n in range(count)]


@pytest.mark.parametrize(
    "sampling",
    [
        GREEDY,
        replace(GREEDY, repetition_penalty=1.4),
        replace(GREEDY, presence_penalty=0.7, frequency_penalty=0.4, max_tokens=40),
        replace(GREEDY, stop=("\x1d", "B"), max_tokens=60),
        replace(GREEDY, structure=Structure("choice", ("alpha", "beta", "gamma"))),
        replace(GREEDY, structure=Structure("regex", "[a-z]{4}[0-9]"), logprobs=2),
    ],
    ids=["plain", "repetition", "presence", "stop", "choice", "regex"],
)
def test_greedy_answers_are_those_of_transformers(
    engine: Any, plain: Any, sampling: Sampling
) -> None:
    calls = asks(sampling)
    tokens = [[list(r.tokens) for r in one.prepare(calls)] for one in (engine, plain)]
    assert tokens[0] == tokens[1]
    keys = [{r.key for r in one.prepare(calls)} for one in (engine, plain)]
    assert not keys[0] & keys[1], "each engine draws in its own way: no answers are shared"
    for ours, theirs in zip(run(engine, calls), run(plain, calls), strict=True):
        assert ours.token_ids == theirs.token_ids
        assert ours.text == theirs.text
        assert ours.finish_reason == theirs.finish_reason
        assert ours.prompt_tokens == theirs.prompt_tokens
        assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-2)
        if sampling.logprobs:
            assert ours.token_logprobs == pytest.approx(theirs.token_logprobs, abs=1e-3)
            assert [top[0] for top in ours.top_ids] == [top[0] for top in theirs.top_ids]


def test_a_hub_may_be_asked_after_a_model_has_loaded(engine: Any) -> None:
    from huggingface_hub import is_offline_mode

    assert os.environ.get("HF_HUB_OFFLINE") == TOLD
    assert is_offline_mode() == (TOLD is not None and TOLD.upper() in {"1", "ON", "YES", "TRUE"})


def test_scores_are_those_of_transformers(engine: Any, plain: Any) -> None:
    calls = [ScoreTokens("main", text="b" * n, prefix_text="a" * n, top=3) for n in (3, 90, 7, 1)]
    calls += [ScoreTokens("main", text="alone"), ScoreTokens("main", tokens=(9, 20, 30), start=2)]
    for _ in range(2):  # the second time the prefix cache is full of them
        for ours, theirs in zip(run(engine, calls), run(plain, calls), strict=True):
            assert ours.token_ids == theirs.token_ids
            assert ours.token_logprobs == pytest.approx(theirs.token_logprobs, abs=1e-3)
            assert ours.logprob == pytest.approx(theirs.logprob, abs=1e-2)
            assert ours.top_ids == theirs.top_ids
            if theirs.top_logprobs:
                for ours_row, row in zip(ours.top_logprobs, theirs.top_logprobs, strict=True):
                    assert ours_row == pytest.approx(row, abs=1e-3)


def test_a_seed_gives_the_same_text_alone_and_in_company(engine: Any) -> None:
    calls = asks(replace(WARM, top_p=0.9), 20)
    together = [answer.text for answer in run(engine, calls)]
    assert [run(engine, [call])[0].text for call in calls[:5]] == together[:5]
    assert [a.text for a in run(engine, calls[::-1])][::-1] == together
    assert run(engine, [replace(calls[3], seed=5)])[0].text != together[3]


def test_many_long_seeded_prompts_at_once(engine: Any) -> None:
    """In parts they would end vLLM's CPU core: its generators cannot be wound back."""
    calls = [Generate("main", replace(WARM, max_tokens=2), n, text="w" * 230) for n in range(60)]
    assert all(answer.completion_tokens in (1, 2) for answer in run(engine, calls))


def test_requests_join_and_leave_one_by_one(engine: Any) -> None:
    endless = Structure("regex", "[a-z]{200}")
    long = Generate("main", replace(WARM, max_tokens=200, structure=endless), 1, text="long")
    short = asks(replace(GREEDY, max_tokens=2), 4)
    first, *rest = engine.prepare([long, *short])
    engine.submit(0, first)
    order = []
    for ticket, ready in enumerate(rest, 1):  # each joins while the long one is under way
        engine.submit(ticket, ready)
        order += [done for done, _ in engine.poll(5.0)]
    assert 0 not in order and len(order) == 4
    while len(order) < 5:
        order += [done for done, _ in engine.poll(5.0)]
    assert order[-1] == 0


def test_aborted_requests_are_not_answered(engine: Any) -> None:
    calls = asks(GREEDY, 4)
    for ticket, ready in enumerate(engine.prepare(calls)):
        engine.submit(ticket, ready)
    engine.abort([1, 3])
    found: dict[int, Any] = {}
    for _ in range(40):
        found.update(engine.poll(0.1))
    assert set(found) == {0, 2}


def test_structure_is_obeyed_and_a_wrong_one_rejected(engine: Any) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"]}
    kinds = (Structure("regex", "[0-9]{3}"), Structure("json", json.dumps(schema)))
    calls = [
        Generate("main", replace(WARM, max_tokens=60, structure=kind), seed, text="x")
        for kind in kinds
        for seed in range(3)
    ]
    answers = run(engine, [*calls, replace(calls[0], sampling=_schema_that_is_none())])
    assert all(re.fullmatch("[0-9]{3}", answer.text) for answer in answers[:3])
    whole = [answer for answer in answers[3:6] if answer.finish_reason == "stop"]
    assert all(json.loads(answer.text)["n"] in (1, 2) for answer in whole)
    assert isinstance(answers[6], Failure) and answers[6].reason == "rejected"


def _schema_that_is_none() -> Sampling:
    return replace(WARM, structure=Structure("json", '{"type": 5}'))


def test_too_long_is_found_before_the_engine_sees_it(engine: Any) -> None:
    (failed,) = engine.prepare([Generate("main", GREEDY, 0, text="x" * 300)])
    assert failed.reason == "too_long" and "max_model_len 256" in failed.detail


def test_rewards_beside_it_and_the_end_of_one_alone(engine: Any, tmp_path: Path) -> None:
    build_llama(tmp_path, 1, reward=True)
    options = {"model": str(tmp_path), "pooling": True}
    judge = open_vllm(tmp_path, pooling=True)
    judge.start()
    same = parse_spec("main", {"transformers": options}).open()
    same.start()
    calls = [Reward("main", messages=({"role": "user", "content": "x" * n},)) for n in (1, 9, 4)]
    for ours, theirs in zip(run(judge, calls), run(same, calls), strict=True):
        assert ours.value == pytest.approx(theirs.value, abs=1e-3)
    judge.close()
    judge.close()
    assert run(engine, asks(GREEDY, 1))[0].completion_tokens


def test_an_adapter_is_on_for_every_request(engine: Any, folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM, AutoTokenizer

    draw = torch.Generator().manual_seed(4)
    down = torch.randn((4, 64), generator=draw)
    up = torch.randn((64, 4), generator=draw)
    name = "model.layers.0.self_attn.q_proj"
    adapter, merged = tmp_path / "adapter", tmp_path / "merged"
    adapter.mkdir()
    parts = {"lora_A": down, "lora_B": up}
    save_file(
        {f"base_model.model.{name}.{part}.weight": value for part, value in parts.items()},
        adapter / "adapter_model.safetensors",
    )
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["q_proj"]}
    (adapter / "adapter_config.json").write_text(json.dumps(config))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.get_submodule(name).weight += 2 * up @ down
    model.save_pretrained(merged)
    AutoTokenizer.from_pretrained(folder).save_pretrained(merged)
    adapted = open_vllm(folder, lora=str(adapter))
    adapted.start()
    whole = parse_spec("main", {"transformers": {"model": str(merged)}}).open()
    whole.start()
    calls = [ScoreTokens("main", text="adapted words")]
    (ours,), (theirs,), (before,) = run(adapted, calls), run(whole, calls), run(engine, calls)
    assert ours.token_logprobs == pytest.approx(theirs.token_logprobs, abs=1e-2)
    assert ours.token_logprobs != pytest.approx(before.token_logprobs, abs=1e-1)
    assert adapted.model.revision != engine.model.revision
    adapted.close()


def test_a_step_that_fails_ends_the_core_and_it_starts_again(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = open_vllm(folder)
    engine.start()
    calls = asks(GREEDY, 2)
    before = run(engine, calls)

    def broken() -> Any:
        raise RuntimeError("no memory")

    engine._core.engine.step = broken
    engine.submit(0, engine.prepare(calls)[0])
    with pytest.raises(EngineDied, match="no memory"):
        engine.poll(1.0)
    with pytest.raises(EngineDied):
        engine.submit(1, engine.prepare(calls)[0])
    engine.start()
    assert [a.text for a in run(engine, calls)] == [a.text for a in before]
    engine.close()
    assert capfd.readouterr().out == ""


def test_a_core_that_is_killed_is_found_dead_and_starts_again(folder: Path, engine: Any) -> None:
    beside = open_vllm(folder, own_process=True)
    beside.start()
    calls = asks(WARM, 3)
    assert [a.text for a in run(beside, calls)] == [a.text for a in run(engine, calls)]
    long = replace(WARM, max_tokens=200, structure=Structure("regex", "[a-z]{200}"))
    for ticket, ready in enumerate(beside.prepare(asks(long, 3))):
        beside.submit(ticket, ready)
    for process in beside._core.engine.engine_core.resources.engine_manager.processes:
        os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(EngineDied):
        for _ in range(60):
            beside.poll(1.0)
    beside.start()
    assert [a.text for a in run(beside, calls)] == [a.text for a in run(engine, calls)]
    beside.close()


_VICTIM = """
import sys
from tests.synth.engines.test_vllm import asks, open_vllm, WARM
from pathlib import Path
if __name__ == "__main__":
    engine = open_vllm(Path(sys.argv[1]), own_process=True)
    engine.start()
    engine.submit(0, engine.prepare(asks(WARM, 1))[0])
    print("up", flush=True)
    while True:
        engine.poll(1.0)
"""


def test_no_core_outlives_us(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "victim.py"
    script.write_text(_VICTIM)
    victim = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"},
    )
    assert victim.stdout is not None and victim.stdout.readline() == b"up\n"
    children = _below(victim.pid)
    assert len(children) >= 2
    victim.kill()
    victim.wait()
    for _ in range(300):
        if not any(_alive(pid) for pid in children):
            break
        time.sleep(0.1)
    assert [pid for pid in children if _alive(pid)] == []


def _below(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *_below(int(child))]
    return found


def _alive(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def test_settings_that_cannot_be(folder: Path) -> None:
    engine = open_vllm(folder, extra={"max_num_seq": 4})
    with pytest.raises(RecipeError, match="did you mean 'max_num_seqs'"):
        engine.start()
    with pytest.raises(RecipeError, match="a key of its own"):
        open_vllm(folder, extra={"max_num_seqs": 4}).start()
    with pytest.raises(RecipeError, match=r"adapter_config\.json"):
        open_vllm(folder, lora=str(folder))
    with pytest.raises(RecipeError, match="cannot load model"):
        open_vllm(folder, quantization="no_such_method").start()
    one, other = open_vllm(folder, max_num_seqs=3), open_vllm(folder, kv_cache_gb=1)
    assert one.spec.config() == other.spec.config() and one.model == other.model
    assert open_vllm(folder, dtype="bfloat16").model != one.model
