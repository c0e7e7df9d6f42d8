"""Scaling and mixing laws as pure functions, with their fits: `from mixtures.laws import …`."""

from mixtures.laws.average_parameters import (
    average_parameters,
    fit_average_parameters,
    pruned_average,
)
from mixtures.laws.chinchilla import (
    CHINCHILLA,
    CHINCHILLA_REFITTED,
    ChinchillaLaw,
    after_burn_in,
    compute_optimal,
    fit_chinchilla,
    optimal_parameters,
)
from mixtures.laws.cmr import (
    PowerCurve,
    critical_share,
    feasible,
    fit_critical_shares,
    fit_domain_curve,
    fit_general_curve,
    forecast_share,
)
from mixtures.laws.loglinear import LogLinearLaw, fit_loglinear, held_out
from mixtures.laws.openai_form import KAPLAN, OpenAILaw, fit_openai
from mixtures.laws.repetition import (
    C4,
    RepetitionLaw,
    effective_parameters,
    effective_tokens,
    fit_repetition,
    worth_of_epoch,
)

__all__ = [
    "C4",
    "CHINCHILLA",
    "CHINCHILLA_REFITTED",
    "KAPLAN",
    "ChinchillaLaw",
    "LogLinearLaw",
    "OpenAILaw",
    "PowerCurve",
    "RepetitionLaw",
    "after_burn_in",
    "average_parameters",
    "compute_optimal",
    "critical_share",
    "effective_parameters",
    "effective_tokens",
    "feasible",
    "fit_average_parameters",
    "fit_chinchilla",
    "fit_critical_shares",
    "fit_domain_curve",
    "fit_general_curve",
    "fit_loglinear",
    "fit_openai",
    "fit_repetition",
    "forecast_share",
    "held_out",
    "optimal_parameters",
    "pruned_average",
    "worth_of_epoch",
]
