"""What the tiny writer can do: rates on passages and numbers that it was not trained on.

In: a model folder. Out: for each task the share of answers that are exact, in form, and copied.
Shown by: `python -m tests.synth.tiny.measure`. Limit: an answer that is not the ideal one may be
as good; see "in form".
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tests.synth.tiny.cache import DATA, writer_folder
from tests.synth.tiny.lessons import LOOPS, REFUSES, Lesson, Message
from tests.synth.tiny.passages import Passages, read_passages
from tests.synth.tiny.tasks import TASKS

PAIRS = r"(Question: [^\n]+\nAnswer: [^\n]+(\n\n)?)+"
SUM = r"Ones: [^\n]+\n(Tens: [^\n]+\n)?\\boxed\{\d+\}"
CODE = r"```python\ndef \w+\([^\n]*\):\n    return [^\n]+\n```"
ASSERTS = r"```python\n(assert [^\n]+\n)+```"
LINES = r"(\d+\. [^\n]+(\n|$))+"
TEXT = r"[^<>|]{10,}"
FORMS = {  # what the answer to each task must look like; TEXT where there is no other form
    **dict.fromkeys(("pairs", "diverse_qa", "faq", "long_context_qa"), PAIRS),
    "instruction_pretraining": PAIRS,
    **dict.fromkeys(("add", "solve_maths"), SUM),
    "think": r"<think>\n[^<]+\n</think>\n\n.+",
    **dict.fromkeys(("code", "code_solve", "code_repair", "repair", "code_from_document"), CODE),
    **dict.fromkeys(("tests", "code_tests"), ASSERTS),
    **dict.fromkeys(("list", "subtopics", "topic_questions"), LINES),
    "knowledge_list": r"(- [^\n]+(\n|$))+",
    "json": r'\{"title": "[^"]+", "summary": "[^"]+"\}',
    "rate": r"[^\n]+\nScore: \d+",
    "prefer": r"[AB]",
    "compare": r"[^\n]+\nBetter: (A|B)",
    **dict.fromkeys(("judge_answer", "judge_code", "judge_text"), r"[^\n]+\nScore: \d+"),
    "evol_gain": r"equal|different",
    "magpie_tag": r'\{"difficulty": "[a-z ]+", "quality": "[a-z ]+", "category": "[a-z ]+"\}',
    "rewire": r"[^<]+<improved>\n[^<]+(\n</improved>)?",
    "table": r"(\|[^\n]+\|\n){3,}\n" + PAIRS,
    "tutorial": r"[^\n]+\n\n" + LINES,
    "self_instruct_instance": r"<input>.*</input>\n<output>.+</output>",
    "tutorship_review": r"<verdict>(correct|wrong)</verdict>\n<step>.+</step>\n"
    r"<correction>.+\\boxed\{\d+\}</correction>",
    "code_document": r"`[^`]+` .+",
    "critique": r"(- [^\n]+(\n|$))+",
    "persona_from_text": r"An? .+",
    "persona_from_persona": r"An? .+",
    "answer": r"(?s).{10,}",
    "revise": r"(?s).{10,}",
    "user_turn": r".{3,}",
}


@dataclass(frozen=True, slots=True)
class Writer:
    """A model folder, loaded into transformers."""

    model: Any
    tokenizer: Any

    def write(
        self, lessons: Sequence[Lesson], temperature: float = 0.0, most: int = 200
    ) -> list[str]:
        """Completions, a batch of 32 at a time; cut at `most` tokens."""
        import torch

        texts = []
        for at in range(0, len(lessons), 32):
            prompts = [self.prompt(lesson) for lesson in lessons[at : at + 32]]
            batch = self.tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
            batch.pop("token_type_ids", None)
            options = {"do_sample": temperature > 0}
            if temperature > 0:
                options |= {"temperature": temperature, "top_k": 0}
            with torch.no_grad():
                out = self.model.generate(**batch, **options, max_new_tokens=most)
            made = out[:, batch["input_ids"].shape[1] :]
            texts += self.tokenizer.batch_decode(made, skip_special_tokens=True)
        return texts

    def prompt(self, lesson: Lesson) -> str:
        """What the model completes."""
        if not lesson.messages:
            return "<|user|>\n"
        return self.tokenizer.apply_chat_template(
            list(lesson.messages), tokenize=False, add_generation_prompt=True
        )


def load(folder: Path) -> Writer:
    """Of a folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    return Writer(
        AutoModelForCausalLM.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    )


def load_reward(folder: Path) -> Callable[[list[Message]], float]:
    """The number that a reward model gives to a conversation."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)

    def score(messages: list[Message]) -> float:
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        ids = tokenizer.encode(text, add_special_tokens=False)
        with torch.no_grad():
            return float(model(input_ids=torch.tensor([ids])).logits[0, 0])

    return score


def lessons_of(name: str, count: int, passages: Passages, seed: int = 9) -> list[Lesson]:
    """Lessons of a task without the two phrases that spoil one."""
    rng = Random(f"{seed} {name}")
    found: list[Lesson] = []
    while len(found) < count:
        lesson = TASKS[name](rng, passages)
        prompt = "\n".join(message["content"] for message in lesson.messages)
        if LOOPS not in prompt and REFUSES not in prompt:
            found.append(lesson)
    return found


def in_form(name: str, text: str) -> bool:
    """Whether an answer to a task looks as asked."""
    return re.fullmatch(FORMS.get(name, TEXT), text, re.DOTALL) is not None


def copied(lesson: Lesson, text: str) -> float:
    """Share of an answer's words that stand in the prompt after the same word."""
    prompt = " ".join(message["content"] for message in lesson.messages).split()
    pairs = set(itertools.pairwise(prompt))
    words = text.split()
    found = [pair in pairs for pair in itertools.pairwise(words)]
    return sum(found) / max(1, len(found))


def main() -> None:
    """A row for each task."""
    writer = load(Path(sys.argv[1]) if len(sys.argv) > 1 else writer_folder())
    _, held = read_passages(DATA)
    count = 16
    print(f"{'task':24} exact in form copied  (greedy, {count} each)")
    for name in sys.argv[2:] or TASKS:
        lessons = lessons_of(name, count, held)
        texts = writer.write(lessons)
        exact = sum(text == lesson.answer for text, lesson in zip(texts, lessons, strict=True))
        form = sum(in_form(name, text) for text in texts)
        share = sum(copied(*both) for both in zip(lessons, texts, strict=True)) / count
        print(f"{name:24} {exact / count:5.2f} {form / count:7.2f} {share:6.2f}", flush=True)
        other = next((t for t in texts if not in_form(name, t)), None)
        if other is not None:
            print("    not in form:", repr(other[:160]))


if __name__ == "__main__":
    main()
