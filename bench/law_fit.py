"""Claim: mixing laws of 17 domains and 13 targets are fitted within 5 seconds, and rank mixtures.

In: 512 and 256 runs planted in the shape of RegMix's published ones. Out:
`.bench/results/law_fit.json`. Shown by: `python -m bench.law_fit --size full`.
Limit: the planted law has the form that is fitted; RegMix's own tables gave this law .973 and a
straight line .831.
"""

from __future__ import annotations

import numpy as np

from bench.harness import Claim, Measurement, Row, Side, interleave, main


def claim(size: str, rounds: int) -> Claim:
    """Fit, folds, and the solver against SLSQP."""
    runs, laws = (512 if size == "full" else 128), "bench.sides.laws"
    seen = interleave(
        [
            Side("fit", f"{laws}:open_fit", {"runs": runs}),
            Side("five folds", f"{laws}:open_held_out", {"runs": runs}),
            Side("mirror descent", f"{laws}:open_solver", {}),
            Side("SLSQP", f"{laws}:open_solver", {"way": "slsqp"}),
        ],
        rounds,
    )
    fit = seen["fit"].result
    sizes = ", ".join(f"{rank:.3f} from {n}" for n, rank in fit["smaller"].items())
    ours, theirs = (np.array(seen[n].result["weights"]) for n in ("mirror descent", "SLSQP"))
    apart = float(np.abs(ours - theirs).max())
    slsqp = f"SLSQP, begun four times: {seen['SLSQP'].median:.3f} s"
    rows = [
        _seconds("law fit: 17 domains, 13 targets", seen["fit"], 5, f"{runs} runs, 4 starts each"),
        _seconds("five folds held out", seen["five folds"], None, "law and straight line"),
        _value("rank correlation on 256 other runs", fit["spearman"], 0.97, False, f"{sizes} runs"),
        _value("the same by a straight line", fit["ols"], None, False, "OLS in the shares"),
        _seconds("best mixture of 17 domains", seen["mirror descent"], None, slsqp),
        _value("largest difference of a weight", apart, 1e-6, True, "from SLSQP's"),
    ]
    corpus = {"name": "planted runs", "documents": runs, "bytes": 0}
    return Claim("law_fit", "Mixing laws and the mixture solver", size, corpus, seen, rows)


def _seconds(work: str, seen: Measurement, target: float | None, detail: str) -> Row:
    times = seen.seconds
    return Row(work, seen.median, min(times), max(times), "s", target, True, detail)


def _value(work: str, value: float, target: float | None, at_most: bool, detail: str) -> Row:
    return Row(work, value, value, value, "", target, at_most, detail)


if __name__ == "__main__":
    main(claim, __doc__)
