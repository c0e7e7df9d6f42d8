"""Where tokenizers come from: paths and datasets told apart, and a hub asked for a commit."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizer_sources import Hub, check_source, dataset_of, files_of, read_source
from mixtures.tokens.tokenizers import MAIN
from tests.mixtures.tiny_tokenizers import tiny_files, write_tokenizer

COMMIT = "5e1f" * 10


@pytest.mark.parametrize("source", ["tok/bpe", "tok/bpe@1f2e", "tokens/web.tokenizer", "llama"])
def test_names_are_datasets(source: str) -> None:
    assert dataset_of(source) == source and files_of(source) == []


def test_paths_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_tokenizer(tmp_path / "llama", eos_token="<|pad|>")
    (folder / "model.safetensors").touch()
    both = [str(folder / name) for name in (MAIN, "tokenizer_config.json")]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for source in (str(folder), str(folder / MAIN), "~/llama"):
        assert dataset_of(source) is None and files_of(source) == both
    assert files_of("./llama") == [f"llama/{Path(path).name}" for path in both]
    other = (folder / MAIN).rename(folder / "my.json")
    assert files_of(str(other)) == [str(other)]
    assert list(read_source(str(other), {}, "")) == [MAIN]
    with pytest.raises(RecipeError, match=r"there: model\.safetensors, my\.json"):
        files_of(str(folder))
    with pytest.raises(RecipeError, match=r"no file absent/tokenizer.json$"):
        files_of("./absent")


class _Model(BaseHTTPRequestHandler):
    """A hub that has one model: `tokenizer.json` and its config."""

    files = tiny_files(eos_token="<|endoftext|>")

    def do_HEAD(self) -> None:
        self._answer(False)

    def do_GET(self) -> None:
        self._answer(True)

    def _answer(self, body: bool) -> None:
        content = self.files.get(self.path.removeprefix(f"/org/name/resolve/{COMMIT}/"))
        closed = self.path.startswith("/org/closed/")
        self.send_response(200 if content is not None else 403 if closed else 404)
        if content is None and not closed:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{abs(hash(self.path)):040x}"')
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body and content is not None:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Model)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def ask(endpoint: str, cache: Path, name: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: the client reads its settings when it is imported."""
    script = (
        "import sys; from mixtures.tokens.tokenizer_sources import Hub, read_source\n"
        f"found = read_source(Hub(hub={name!r}, revision={COMMIT!r}), {{}}, '')\n"
        "print({name: len(content) for name, content in found.items()})"
    )
    given = {"HF_ENDPOINT": endpoint, "HF_HOME": str(cache), "HF_HUB_DISABLE_XET": "1"}
    plain = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    return subprocess.run(
        [sys.executable, "-c", script], env={**plain, **given}, capture_output=True, text=True
    )


@pytest.mark.slow
def test_a_hub_gives_the_files_of_a_commit(hub: str, tmp_path: Path) -> None:
    done = ask(hub, tmp_path, "org/name")
    assert done.returncode == 0, done.stderr
    assert eval(done.stdout) == {name: len(content) for name, content in _Model.files.items()}
    closed = ask(hub, tmp_path, "org/closed")
    assert closed.returncode != 0
    assert "tokenizer 'org/closed'" in closed.stderr and "403" in closed.stderr


def test_a_branch_is_no_commit() -> None:
    check_source(Hub(hub="org/name", revision=COMMIT))
    with pytest.raises(RecipeError, match="40 hex digits"):
        check_source(Hub(hub="org/name", revision="main"))
