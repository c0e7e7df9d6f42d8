"""Runs every claim, one after another, and prints the table of claims.

In: `--size small|full`, names of claims to run (all by default). Out: `.bench/results/*.json`, the
table in `docs/RESULTS.md`. Shown by: `python -m bench --size full`.
Limit: a full run takes about half an hour and wants a quiet machine; `small` checks the machinery.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time

from bench import environments, report
from bench.harness import BENCH, ROOT

CLAIMS = (
    "signals",
    "signatures",
    "dedup",
    "decontamination",
    "extraction",
    "fineweb",
    "scaling",
    "memory",
    "queries",
    "tokenizing",
    "packing",
    "plan",
    "law_fit",
    "synth_overhead",
    "synth_goodput",
    "synth_peers",
    "train_loop",
)


def main() -> int:
    """Each claim in its own process, so that one that fails leaves the others alone."""
    parser = argparse.ArgumentParser(description="Measure every claim.")
    parser.add_argument("claims", nargs="*", help=", ".join(CLAIMS))
    parser.add_argument("--size", choices=["small", "full"], default="small")
    arguments = parser.parse_args()
    unknown = set(arguments.claims) - set(CLAIMS)
    if unknown:
        parser.error(f"no claim {sorted(unknown)}; there are {', '.join(CLAIMS)}")
    environments.main()
    failed = []
    for name in arguments.claims or CLAIMS:
        begin = time.monotonic()
        command = [sys.executable, "-m", f"bench.{name}", "--size", arguments.size]
        if subprocess.run(command, cwd=ROOT).returncode:
            failed.append(name)
        shutil.rmtree(BENCH / "stores", ignore_errors=True)
        print(f"[{name}: {time.monotonic() - begin:.0f} s]", flush=True)
    print(report.table())
    if arguments.size == "full" and not failed:
        report.write()
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
