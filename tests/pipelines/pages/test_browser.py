"""Pages in a real browser: nothing is refused, nothing runs, everything is laid out."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gristmill.store import Store
from pipelines.pages import page_of
from tests.pipelines.pages.test_pages import MAKE

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> str:
    """CI installs one where it can; test_pages reads the same pages without."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", MAKE)
def test_a_browser_shows_the_page(tmp_path: Path, browser: str, kind: str) -> None:
    page = page_of(MAKE[kind](Store(tmp_path / "store")))
    path = tmp_path / "page.html"
    path.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}", path.as_uri()),
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "CONSOLE" not in done.stderr  # a refused style or script would be told there
    assert len(re.findall("<svg", done.stdout)) == len(re.findall("<svg", page)) > 0
    assert not re.search(r"<(script|img|iframe)\b", done.stdout)
