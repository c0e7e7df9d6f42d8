"""reward: a model that rates conversations: a head on the hidden state of the last token.

It is saved as transformers' sequence classifier of its architecture, with one label where the loss
gives one reward, so that engines with `pooling: true` and vLLM load it as it is.
"""

from __future__ import annotations

import copy
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from gristmill.errors import RecipeError
from mixtures.tokens.tokenizers import from_files
from train.data.prepared import Prepared
from train.data.rows import open_rows
from train.job import Job
from train.kinds.stage import Stage
from train.models.open import Opened
from train.spec.losses.reward import Attributes, RewardLoss, SoftLabel

HEAD = "score.weight"


def open_stage(job: Job, opened: Opened) -> Stage:
    """Conversations and what people said of them."""
    loss = job.step.objective
    assert isinstance(loss, RewardLoss)
    examples = open_rows(job, opened, by_token=False)
    if isinstance(loss, SoftLabel):
        check_levels(examples.prepared, loss)
    language, merged = opened.model, opened.finish
    body = language.get_base_model() if job.step.model.lora else language
    model = classifier(body, loss.heads())
    if job.step.init.from_ is not None:
        go_on(model.score, job.model_folder(job.step.init.from_))
    loaded = from_files(opened.tokenizer, "the model's tokenizer")
    model.config.pad_token_id = loaded.padding
    model.forward = MethodType(scores, model)
    opened.facts |= {
        "parameters": model.num_parameters(),
        "trained_parameters": model.num_parameters(only_trainable=True),
    }

    def finish(trained: Any, folder: Path) -> PreTrainedModel:
        if job.step.model.lora:
            merged(language, folder)  # in place: the classifier has the same body
        reduce_head(trained, loss)
        found: PreTrainedModel = trained
        return found

    opened.finish = finish
    return Stage(model, examples, loss.open())


def classifier(model: Any, heads: int) -> Any:
    """A causal model's body with a new linear head, as transformers' sequence classifier."""
    config = copy.deepcopy(model.config)
    config.num_labels = heads
    with torch.device("meta"):
        made = AutoModelForSequenceClassification.from_config(config)
    setattr(made, made.base_model_prefix, model.base_model)
    head = nn.Linear(made.score.in_features, heads, bias=False)
    nn.init.normal_(head.weight, std=config.get_text_config().initializer_range)
    made.score = head
    return made.train(model.training)


def go_on(head: nn.Linear, folder: Path) -> None:
    """Take the head of a checkpoint that is a reward model already, with as many numbers."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            if HEAD in weights.keys() and weights.get_tensor(HEAD).shape == head.weight.shape:
                head.weight.data = weights.get_tensor(HEAD).to(head.weight.dtype)


def check_levels(prepared: Prepared, loss: SoftLabel) -> None:
    """RecipeError for levels and grades that the loss does not have."""
    ranges = {loss.level: (1, len(loss.targets))}
    for name, levels in loss.grades.items():
        ranges |= {f"{side}_{name}": (0, levels - 1) for side in ("chosen", "rejected")}
    for column, (least, most) in ranges.items():
        values = prepared.column(column)
        values = values[~np.isnan(values)]
        odd = values[(values < least) | (values > most) | (values != np.round(values))]
        if len(odd):
            raise RecipeError(
                f"column {column!r} has {odd[0]:g}: loss soft_label takes whole numbers from "
                f"{least} to {most}; map them before, or name other `targets` or `grades`"
            )


def scores(self: Any, input_ids: Tensor, position_ids: Tensor, last: Tensor, **_: Any) -> Tensor:
    """The head's numbers [sequences, heads] at places `last` of all; those of -1 mean nothing."""
    hidden = self.base_model(
        input_ids=input_ids, position_ids=position_ids, use_cache=False
    ).last_hidden_state
    found: Tensor = self.score(hidden.flatten(0, 1)[last.clamp(min=0)])
    return found


def reduce_head(model: Any, loss: RewardLoss) -> None:
    """One reward of several heads: grades are left out, attributes are weighted (a linear map)."""
    weight = model.score.weight.data
    if isinstance(loss, SoftLabel):
        weight = weight[:1]
    elif isinstance(loss, Attributes) and loss.weights:
        shares = weight.new_tensor([loss.weights.get(name, 0.0) for name in loss.columns])
        weight = (shares @ weight)[None]
    elif isinstance(loss, Attributes):
        model.config.id2label = dict(enumerate(loss.columns))
        model.config.label2id = {name: n for n, name in enumerate(loss.columns)}
        return
    head = nn.Linear(weight.shape[1], len(weight), bias=False)
    head.weight.data = weight.clone()
    model.score = head
    model.config.num_labels = len(weight)
