"""Prompts as token ids and the keys of requests: what changes them, and what must not."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import Failure, Generate, Model, Ready, Reward, Sampling, ScoreTokens, Structure
from synth.engines.rendering import Rendering, load_rendering
from synth.engines.weights import context_length, deciding_files, identify, model_folder
from tests.extras import needs
from tests.synth.engines.tiny import TEMPLATE, build_tokenizer

needs("transformers", "tokenizers", "jinja2")

MODEL = Model("tiny", "1", "2")
ASK = ({"role": "user", "content": "hi"},)
GREEDY = Sampling(max_tokens=8, temperature=0)
WARM = Sampling(max_tokens=8)


def folder_with(path: Path, template: str | None = TEMPLATE) -> Path:
    path.mkdir(exist_ok=True)
    build_tokenizer(path, template)
    (path / "config.json").write_text(json.dumps({"max_position_embeddings": 64}))
    (path / "model.safetensors").write_bytes(b"weights")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_with(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def rendering(folder: Path) -> Rendering:
    return load_rendering(folder, "tiny", 64)


def rendered(path: Path, template: str, **args: Any) -> Rendering:
    return load_rendering(folder_with(path, template), "tiny", 64, args)


def one(rendering: Rendering, call: Any, model: Model = MODEL) -> Any:
    (found,) = rendering.prepare(model, [call])
    return found


def text_of(rendering: Rendering, ready: Ready) -> str:
    return str(rendering.tokenizer.decode(list(ready.tokens or ())))


def test_equal_requests_have_equal_keys_in_any_company(rendering: Rendering) -> None:
    calls = [Generate("a", WARM, n, messages=ASK) for n in range(3)]
    calls += [Generate("a", WARM, n, text="raw") for n in range(3)]
    forth = rendering.prepare(MODEL, calls)
    back = rendering.prepare(MODEL, calls[::-1])[::-1]
    assert [r.key for r in forth] == [r.key for r in back]
    assert len({r.key for r in forth}) == 6
    assert one(rendering, calls[0]).key == forth[0].key


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"top_p": 0.9},
        {"top_k": 5},
        {"min_p": 0.1},
        {"repetition_penalty": 1.1},
        {"presence_penalty": 0.1},
        {"frequency_penalty": 0.1},
        {"stop": ("x",)},
        {"logprobs": 2},
        {"structure": Structure("regex", "a")},
    ],
)
def test_every_parameter_is_in_the_key(rendering: Rendering, change: dict[str, Any]) -> None:
    call = Generate("a", WARM, 1, messages=ASK)
    other = replace(call, sampling=replace(WARM, **change))
    assert one(rendering, call).key != one(rendering, other).key


def test_what_else_is_in_the_key_and_what_is_not(rendering: Rendering) -> None:
    call = Generate("a", WARM, 1, messages=ASK)
    key = one(rendering, call).key
    system = ({"role": "system", "content": "be brief"}, *ASK)
    for other in (replace(call, seed=2), replace(call, messages=system), replace(call, text="hi")):
        other = replace(other, messages=None) if other.text else other
        assert one(rendering, other).key != key
    for model in (Model("b", "1", "2"), Model("tiny", "9", "2"), Model("tiny", "1", "9")):
        assert one(rendering, call, model).key != key
    for same in (replace(call, engine="b"), replace(call, sampling=replace(WARM, max_tokens=9))):
        assert one(rendering, same).key == key
    cold = Generate("a", GREEDY, 1, messages=ASK)
    assert one(rendering, cold).key == one(rendering, replace(cold, seed=2)).key


def test_a_text_begins_with_one_bos_and_has_no_end(rendering: Rendering) -> None:
    plain = one(rendering, Generate("a", GREEDY, 0, text="hello"))
    doubled = one(rendering, Generate("a", GREEDY, 0, text="<s>hello"))
    assert list(plain.tokens) == list(doubled.tokens)
    assert list(plain.tokens)[:1] == [1] and list(plain.tokens).count(1) == 1
    chat = one(rendering, Generate("a", GREEDY, 0, messages=ASK))
    assert text_of(rendering, chat) == "<s><|user|>hi<|end|><|assistant|>"


def test_tokens_are_taken_as_they_are(rendering: Rendering) -> None:
    assert list(one(rendering, Generate("a", GREEDY, 0, tokens=(9, 8))).tokens) == [9, 8]


def test_an_assistants_last_turn_is_continued(rendering: Rendering) -> None:
    turns = (*ASK, {"role": "assistant", "content": "Sure:"})
    ready = one(rendering, Generate("a", GREEDY, 0, messages=turns))
    assert text_of(rendering, ready) == "<s><|user|>hi<|end|><|assistant|>Sure:"


def test_prefix_user_ends_where_the_user_would_begin(rendering: Rendering, tmp_path: Path) -> None:
    alone = one(rendering, Generate("a", GREEDY, 0, prefix="user"))
    assert text_of(rendering, alone) == "<s><|user|>"
    system = ({"role": "system", "content": "You teach."},)
    led = one(rendering, Generate("a", GREEDY, 0, messages=system, prefix="user"))
    assert text_of(rendering, led) == "<s><|system|>You teach.<|end|><|user|>"
    spaced = rendered(
        tmp_path / "a", "<s>{% for m in messages %}[INST] {{ m.content }}{% endfor %}"
    )
    found = one(spaced, Generate("a", GREEDY, 0, prefix="user"))
    assert text_of(spaced, found) == "<s>[INST]"
    deaf = rendered(tmp_path / "b", "<s>no content")
    assert one(deaf, Generate("a", GREEDY, 0, prefix="user")).reason == "template"


def test_too_long_tells_the_numbers(rendering: Rendering) -> None:
    fits = Generate("a", replace(GREEDY, max_tokens=54), 0, text="x" * 9)
    assert isinstance(one(rendering, fits), Ready)
    failed = one(rendering, replace(fits, sampling=replace(GREEDY, max_tokens=55)))
    assert isinstance(failed, Failure) and failed.reason == "too_long" and failed.key
    assert "10 prompt tokens and 55 of max_tokens" in failed.detail and "64" in failed.detail


def test_a_template_that_refuses_fails_the_row_alone(tmp_path: Path) -> None:
    strict = rendered(tmp_path, "{{ raise_exception('roles must alternate') }}")
    first, second = strict.prepare(
        MODEL, [Generate("a", GREEDY, 0, messages=ASK), Generate("a", GREEDY, 0, text="x")]
    )
    assert isinstance(first, Failure) and first.reason == "template"
    assert "roles must alternate" in first.detail
    assert isinstance(second, Ready)


def test_a_model_without_a_chat_template_is_told(tmp_path: Path) -> None:
    bare = load_rendering(folder_with(tmp_path, None), "base-model", 64)
    assert isinstance(one(bare, Generate("a", GREEDY, 0, text="x")), Ready)
    with pytest.raises(RecipeError, match=r"base-model.*no chat template"):
        bare.prepare(MODEL, [Generate("a", GREEDY, 0, messages=ASK)])


def test_a_template_with_a_date_gives_the_same_prompt_every_day(tmp_path: Path) -> None:
    dated = rendered(tmp_path, "{{ strftime_now('%d %b %Y') }}{{ extra }}", extra="!")
    ready = one(dated, Generate("a", GREEDY, 0, messages=ASK))
    assert text_of(dated, ready) == "26 Jul 2024!"


def test_scoring_begins_where_the_prefix_ends(rendering: Rendering) -> None:
    ready = one(rendering, ScoreTokens("a", text="wörld", prefix_text="hello "))
    start = ready.call.start
    assert rendering.decode(list(ready.tokens)[start:]) == "wörld"
    assert one(rendering, ScoreTokens("a", text="abc")).call.start == 1
    assert one(rendering, ScoreTokens("a", text="", prefix_text="abc")).reason == "empty"


def test_a_reward_reads_the_answer_as_the_template_ends_it(rendering: Rendering) -> None:
    turns = (*ASK, {"role": "assistant", "content": "yes"})
    ready = one(rendering, Reward("a", messages=turns))
    assert text_of(rendering, ready) == "<s><|user|>hi<|end|><|assistant|>yes"


def test_revision_follows_weights_and_template_the_tokenizer(tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "m")
    first = identify(folder)
    (folder / "README.md").write_text("text")
    assert identify(folder) == first
    assert identify(folder, settings={"dtype": "float32"}).revision != first.revision
    (folder / "model.safetensors").write_bytes(b"other")
    second = identify(folder)
    assert second.revision != first.revision and second.template == first.template
    build_tokenizer(folder, TEMPLATE + " ")
    third = identify(folder)
    assert third.revision == second.revision and third.template != second.template
    folder.rename(tmp_path / "elsewhere")
    assert identify(tmp_path / "elsewhere", name="m") == third


def test_digests_come_from_the_cache(tmp_path: Path) -> None:
    folder, cache = folder_with(tmp_path / "m"), tmp_path / "digests"
    first = identify(folder, cache=cache)
    file = folder / "model.safetensors"
    stat = file.stat()
    file.write_bytes(b"WEIGHTS")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert identify(folder, cache=cache) == first  # equal size and time: not read again
    assert identify(folder) != first


def test_folders_that_are_no_models(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="download: true"):
        model_folder("someone/some-model")
    with pytest.raises(RecipeError, match=r"without config\.json"):
        model_folder(str(tmp_path))
    folder = folder_with(tmp_path / "m")
    assert context_length(folder) == 64
    weights, tokenizer = deciding_files(folder)
    assert [f.name for f in weights] == ["config.json", "model.safetensors"]
    assert "tokenizer.json" in [f.name for f in tokenizer]
