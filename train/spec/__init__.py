"""What a recipe says of a training stage; validated before anything is loaded, without torch."""

from train.spec.advance import Advance, Condition
from train.spec.average import Average
from train.spec.data import Rows
from train.spec.init import Init
from train.spec.loss import LossSpec, parse_loss
from train.spec.model import Lora, ModelSpec
from train.spec.optim import Optim
from train.spec.rollout import Rollout
from train.spec.run import Guard, HeldOut, Run
from train.spec.schedule import Schedule

__all__ = [
    "Advance",
    "Average",
    "Condition",
    "Guard",
    "HeldOut",
    "Init",
    "Lora",
    "LossSpec",
    "ModelSpec",
    "Optim",
    "Rollout",
    "Rows",
    "Run",
    "Schedule",
    "parse_loss",
]
