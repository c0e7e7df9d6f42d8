"""OpenAI's form: the published figures, and planted laws found again."""

from __future__ import annotations

import numpy as np
import pytest

from gristmill.errors import GristmillError
from mixtures.laws.openai_form import KAPLAN, OpenAILaw, fit_openai


def test_the_published_tokens_against_overfitting() -> None:
    # Kaplan et al., equation 4.4: 5e3 N^0.74 tokens keep the loss within 0.02 of its best
    for n in (1e7, 1e8, 1e9):
        assert KAPLAN.tokens_for(n) == pytest.approx(5e3 * n**0.74, rel=0.15)
    # and 8 times the parameters ask for about 5 times the data
    assert KAPLAN.tokens_for(8e9) / KAPLAN.tokens_for(1e9) == pytest.approx(5, rel=0.1)
    ratio = KAPLAN.loss(1e9, KAPLAN.tokens_for(1e9)) / KAPLAN.loss(1e9, 1e30)
    assert ratio == pytest.approx(1.02)


def test_limits_are_the_two_single_laws() -> None:
    # equations 1.1 and 1.2, by the joint fit's scales
    assert KAPLAN.loss(1e9, 1e30) == pytest.approx((6.4e13 / 1e9) ** 0.076, rel=1e-6)
    assert KAPLAN.loss(1e25, 1e10) == pytest.approx((1.8e13 / 1e10) ** 0.103, rel=1e-3)


@pytest.mark.parametrize("law", [KAPLAN, OpenAILaw(1e12, 5e11, 0.12, 0.2)])
def test_a_planted_law_is_found_again(law: OpenAILaw) -> None:
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 8), np.geomspace(2e7, 2e10, 8)))
    found = fit_openai(n, d, law.loss(n, d))
    for name in ("parameter_scale", "token_scale", "alpha_N", "alpha_D"):
        assert getattr(found, name) == pytest.approx(getattr(law, name), rel=1e-2), name
    noise = np.random.default_rng(1).normal(0, 0.003, n.shape)
    found = fit_openai(n, d, law.loss(n, d) * np.exp(noise))
    assert found.loss(1e10, 2e11) == pytest.approx(law.loss(1e10, 2e11), rel=0.02)
    with pytest.raises(GristmillError, match="4 points"):
        fit_openai(n[:4], d[:4], law.loss(n[:4], d[:4]))
