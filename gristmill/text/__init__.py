"""Text kernels that several stages share: buffers, words, signals, shingles, n-grams, languages.

Numba keeps compiled kernels on disk, but it notices only a change of the file that a kernel stands
in, not of the kernels that it calls elsewhere: after an edit of words.py, a cached MinHash would
still run the old words. So the cache lies in a directory named after the sources of all kernels,
beside this file, or below the user's cache directory where that cannot be written, or else in a
temporary one. NUMBA_CACHE_DIR, if set, is left alone.
"""

import os
import sys
import tempfile
from hashlib import blake2b
from pathlib import Path

ROOMS = ("gristmill", "curation", "mixtures", "synth", "train")


def _point_numba_at_our_cache() -> None:
    """Set NUMBA_CACHE_DIR, also for child processes; must run before a kernel is declared."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    here = Path(__file__).parent
    digest = blake2b(digest_size=6)
    for room in ROOMS:  # kernels of a stage call those of others of its files, and these here
        for path in sorted((here.parents[1] / room).rglob("*.py")):
            source = path.read_bytes()
            if b"njit" in source or b"intrinsic" in source:
                digest.update(f"{room}/{path.name}\0".encode() + source)
    name = f"kernels-{digest.hexdigest()}"
    user = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    for cache in (here / "__pycache__" / name, user / "gristmill" / name):
        try:
            cache.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(cache, os.W_OK):
            break
    else:  # nowhere to keep kernels: compile for this run and its children only
        cache = Path(tempfile.mkdtemp(prefix="gristmill-kernels-"))
    os.environ["NUMBA_CACHE_DIR"] = str(cache)
    if "numba" in sys.modules:  # it has read the environment already
        sys.modules["numba"].config.CACHE_DIR = str(cache)


_point_numba_at_our_cache()
