"""What a recipe may say of a server, and that no secret gets into anything that is kept."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.engines.openai import OpenAISpec
from synth.engines.spec import parse_spec
from tests.extras import needs

needs("httpx")

URL = "http://localhost:8000/v1"


def spec(**options: Any) -> OpenAISpec:
    found = parse_spec("main", {"openai": {"url": URL, "model": "tiny", **options}})
    assert isinstance(found, OpenAISpec)
    return found


def test_where_it_runs_is_outside_the_fingerprint() -> None:
    moved = spec(
        url="https://other.example/v1",
        api_key_env="OTHER_KEY",
        headers_env={"X-Team": "TEAM"},
        in_flight=7,
        requests_per_minute=60,
        tokens_per_minute=1000,
        timeout_s=5,
        retries=1,
        patience_s=9,
        price={"input": 1, "output": 2},
    )
    assert moved.config() == spec().config()
    assert spec(revision="b").config() != spec().config()
    assert spec(extra_body={"a": 1}).config() != spec().config()


def test_an_address_may_leave_out_v1() -> None:
    assert spec(url="http://localhost:8000").url == URL
    assert spec(url="http://localhost:8000/v1/").url == URL
    assert spec(url="https://host/openai/v1").url == "https://host/openai/v1"


@pytest.mark.parametrize(
    "options, said",
    [
        ({"url": "localhost:8000"}, "write e.g. http://localhost:8000/v1"),
        ({"url": "http://h/v1?version=1"}, "write e.g."),
        ({"url": "http://u:hunter2@h/v1"}, "headers_env"),
        ({"api_key_env": "sk-hunter2"}, "names of environment variables"),
        ({"headers_env": {"X-Key": "Bearer hunter2"}}, "names of environment variables"),
        ({"api_key": "hunter2"}, "did you mean 'api_key_env'"),
        ({"price": {"input": 1}}, "it takes both"),
        ({"price": {"prompt": 1, "completion": 2}}, "price"),
        ({"extra_body": {"temperature": 0.2}}, "extra_body has temperature"),
        ({"in_flight": 0}, "in_flight"),
    ],
)
def test_mistakes_are_told_and_secrets_are_not(options: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said) as found:
        spec(**options)
    assert "hunter2" not in str(found.value)


def test_the_key_is_read_from_the_environment_only(monkeypatch: pytest.MonkeyPatch) -> None:
    given = spec(api_key_env="MILL_KEY", headers_env={"X-Org": "MILL_ORG"})
    monkeypatch.delenv("MILL_KEY", raising=False)
    monkeypatch.setenv("MILL_ORG", "org-hunter2")
    with pytest.raises(RecipeError, match="variable MILL_KEY is not set"):
        given.check()
    monkeypatch.setenv("MILL_KEY", "sk-hunter2")
    assert given.secrets() == {"Authorization": "Bearer sk-hunter2", "X-Org": "org-hunter2"}
    engine: Any = given.open()
    kept = [json.dumps(given.config()), given.model_dump_json(), repr(given), repr(vars(engine))]
    assert not any("hunter2" in text for text in kept)


def test_a_tokenizer_that_is_no_folder() -> None:
    with pytest.raises(RecipeError, match="tokenizer is 'nowhere', which is no folder"):
        spec(tokenizer="nowhere").check()
