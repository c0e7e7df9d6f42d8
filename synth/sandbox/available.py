"""Is there a sandbox on this machine? Asked once; without one no program runs.

In: nothing. Out: None, or the reason with the command that mends it.
Shown by: `python -m synth.sandbox`. Limit: what is found is kept until the process ends.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from functools import lru_cache

from gristmill.errors import RecipeError
from synth.sandbox import bubblewrap, system_calls
from synth.sandbox.limits import Limits

INSTALL = (
    "install bubblewrap: `apt-get install bubblewrap` (Debian, Ubuntu), `dnf install bubblewrap` "
    "(Fedora), `apk add bubblewrap util-linux` (Alpine), `pacman -S bubblewrap` (Arch)"
)
NAMESPACES = (
    "this machine does not let us make namespaces; in a container give it CAP_SYS_ADMIN (docker "
    "run --privileged), on Ubuntu 24.04 allow bwrap user namespaces in AppArmor or run as root"
)


class SandboxError(RecipeError):
    """There is no sandbox, or it could not be made; nothing was run."""


@lru_cache(maxsize=1)
def available() -> str | None:
    """None where programs can be run in a sandbox, else why not and what to do."""
    reason = _missing()
    if reason:
        return f"model-written code runs only in a sandbox, and there is none: {reason}"
    from synth.sandbox.run import PYTHON, run_unprobed  # it asks us first

    try:
        outcome = run_unprobed("import sys\nprint(sys.version)", "", {}, Limits(), PYTHON, None)
    except SandboxError as error:
        return f"model-written code runs only in a sandbox: {error}; {NAMESPACES}"
    if outcome.stdout.rstrip("\n") != sys.version:
        said = outcome.stderr.strip()[-300:] or f"exit code {outcome.returncode}"
        return f"model-written code runs only in a sandbox; a first program failed in it: {said}"
    return None


def _missing() -> str | None:
    """What can be seen without trying."""
    if sys.platform != "linux":
        return f"it needs Linux, this is {sys.platform}"
    if not system_calls.knows(os.uname().machine):
        return f"it knows x86_64 and aarch64, this is {os.uname().machine}"
    if not bubblewrap.bwrap():
        return INSTALL
    for tool in ("prlimit", "setpriv"):
        if not shutil.which(tool):
            return f"{tool} is missing: `apk add util-linux`, `apt-get install util-linux`"
    found = re.match(r"(\d+)\.(\d+)", os.uname().release)
    needed = (5, 3) if bubblewrap.by_root() else (5, 14)  # pidfd; process limits per namespace
    if found and tuple(map(int, found.groups())) < needed:
        asked = ".".join(map(str, needed))
        advice = "" if bubblewrap.by_root() else "; as root 5.3 is enough"
        return f"it needs Linux {asked}, this is {os.uname().release}{advice}"
    return None
