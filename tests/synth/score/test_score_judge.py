"""The judge: what is asked, how numbers are read, averaged, and lost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import RecipeError
from synth.calls import Answer, Call, Failure, Generate
from synth.items import Item
from synth.ops import parse_op
from tests.extras import needs
from tests.synth.by_hand import Answers, answers_of, drive, lost, row, samples

ITEMS = ({"instruction": "Say hello.", "response": "Hello."}, {"instruction": "?", "response": "B"})


def judge(**options: Any) -> Any:
    return parse_op({"score": {"judge": {"prompt": "judge_answer", **options}}})


def saying(*texts: str | Failure, end: str = "stop") -> Callable[[list[Call]], Answers]:
    def answer(calls: list[Call]) -> Answers:
        assert len(calls) == len(texts)
        return [t if isinstance(t, Failure) else Answer(t, finish_reason=end) for t in texts]

    return answer


def scores(items: list[Item], name: str = "judge") -> list[float | None]:
    return [item.fields[name] for item in items]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is fine.\nScore: 7", 7),
        ("**Score:** 8.5/10", 8.5),
        ("The score is 3.", 3),
        ("First I thought Score: 2, but no.\n\nscore = 9", 9),
        ("<think>Score: 1</think>\nScore: `10`", 10),
        ("FINAL SCORE: 1", 1),
        ("Seven.", None),
        ("Score: 11", None),
        ("Score: -3", None),
        ("Score: very good, 7", None),
        ("It underscores 5", None),
    ],
)
def test_the_last_number_of_a_score_line_counts(text: str, number: float | None) -> None:
    of = row()
    found = drive(judge(), samples(ITEMS[0]), of, saying(text))
    assert scores(found) == ([] if number is None else [number])
    assert lost(of) == ([("score.judge", "unparsable")] if number is None else [])


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ('{"reason": "good", "score": 7}', 7),
        ('Here: ```json\n{"reason": "a {brace}", "score": "6.5"}\n```', 6.5),
        ('{"score": 1} then {"note": 2} then {"score": 4}', 4),
        ('{"reason": "two\nlines\t", "score": 2}', 2),
        ('{"reason": "{", "score": 3', None),
        ('{"score": true}', None),
        ('{"score": 1e999}', None),
        (f'{{"score": {"9" * 400}}}', None),
        ('{"score": null}', None),
        ("{" * 3000, None),
        ("[8]", None),
    ],
)
def test_json(text: str, number: float | None) -> None:
    of = row()
    found = drive(judge(form="json"), samples(ITEMS[0]), of, saying(text))
    assert scores(found) == ([] if number is None else [number])
    assert lost(of) == ([("score.judge", "unparsable")] if number is None else [])


def test_what_is_asked() -> None:
    calls: list[Call] = []

    def answer(given: list[Call]) -> Answers:
        calls.extend(given)
        return [Answer(f"Score: {n}", key=b"k", completion_tokens=4) for n in (2, 4, 6, 5)]

    of = row()
    op = judge(engine=["a", "b"], samples=2, temperature=0.7, max_tokens=99, min=2)
    (item,) = drive(op, samples(ITEMS[0]), of, answer)
    assert item.fields["judge"] == 4.25 and item.fields["judge_failed"] is None
    asked = [call for call in calls if isinstance(call, Generate)]
    assert op.engines() == ["a", "b"] and [c.engine for c in asked] == ["a", "a", "b", "b"]
    assert len({call.seed for call in asked}) == 4
    assert {call.sampling for call in asked} == {op.sampling} and op.sampling.max_tokens == 99
    assert "Say hello." in asked[0].messages[-1]["content"]  # type: ignore[index]
    assert [made.template for made, _ in of.made] == [asked[0].template] * 4 != [""] * 4
    made, text = of.made[0]
    assert (made.stage, made.key, text) == ("judge", b"k".hex(), "Score: 2")
    assert item.made == ()  # a judge changes no item's id
    more: list[Call] = []

    def refuse(given: list[Call]) -> Answers:
        more.extend(given)
        return [Failure("server") for _ in given]

    again = judge(engine=["a", "b"], samples=3, temperature=0.7, max_tokens=99, min=2)
    assert drive(again, samples(ITEMS[0]), row(), refuse) == []
    seeds = {call.seed for call in more if isinstance(call, Generate)}
    assert {call.seed for call in asked} < seeds  # more samples go on from the same ones


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (saying(Failure("timeout")), "timeout"),
        (saying("Score: 5", end="length"), "truncated"),
        (saying("<think>Score: 5"), "no_closing_tag"),
        (saying("<think>5</think> "), "empty"),
        (saying("I'm sorry, I can't judge that."), "refused"),
        (saying("No idea."), "unparsable"),
    ],
)
def test_failures_are_typed_by_either_policy(answer: Any, reason: str) -> None:
    of = row()
    assert drive(judge(), samples(ITEMS[0]), of, answer) == []
    assert lost(of) == [("score.judge", reason)]
    of = row()
    (item,) = drive(judge(on_failure="null"), samples(ITEMS[0]), of, answer)
    assert item.fields["judge"] is None and item.fields["judge_failed"] == reason
    assert not of.lost


def test_those_that_answered_are_averaged_and_the_others_named() -> None:
    op = judge(engine=("a", "b", "c"), keep_text=True)
    texts = ("Score: 4", Failure("server"), "eh", "Good.\nScore: 6", "Score: 8", "Score: 10")
    one, two = drive(op, samples(*ITEMS), row(), saying(*texts))
    assert one.fields["judge"] == 4 and one.fields["judge_failed"] == "server, unparsable"
    assert two.fields["judge"] == 8 and two.fields["judge_failed"] is None
    assert two.fields["judge_text"] == "Good.\nScore: 6\n\nScore: 8\n\nScore: 10"
    assert set(op.fields()) == {"judge", "judge_failed", "judge_text"}


def test_a_prompt_of_ones_own_and_a_field_that_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "style.md"
    path.write_text("---\nabout: style\nfields: [draft]\n---\n[user]\nGrade {{ draft }} as A=1.\n")
    op = judge(prompt=str(path), pattern=r"grade (\d)", max=3, into="style")
    assert op.files() == [str(path)]
    op.check()
    of = row()
    (item,) = drive(op, samples({"draft": "x"}, {"text": "y"}), of, saying("GRADE 2"))
    assert item.fields["style"] == 2 and lost(of) == [("score.judge", "missing")]
    assert drive(op, [], row(), saying()) == []


def test_guided_json_asks_for_a_schema() -> None:
    structure = judge(form="json", guided=True, min=0, max=5).sampling.structure
    assert structure.kind == "json" and '"maximum":5' in structure.value
    assert '"integer"' in structure.value
    assert '"number"' in judge(form="json", guided=True, max=1.5).sampling.structure.value


@pytest.mark.slow
def test_a_real_engine_is_held_to_the_form(tmp_path: Path) -> None:
    """A model of random weights says nothing sensible, yet always in the form asked for."""
    needs("torch", "transformers", "xgrammar")
    from synth.engines.spec import parse_spec
    from tests.synth.engines.tiny import build_llama

    path = tmp_path / "short.md"
    path.write_text("---\nabout: a\n---\n[user]\nRate: {{ response }}\n")
    spec = {"transformers": {"model": str(build_llama(tmp_path / "m")), "device": "cpu"}}
    engine = parse_spec("main", spec).open()
    engine.start()
    of = row()
    options = {"form": "json", "guided": True, "on_failure": "null", "keep_text": True}
    op = judge(prompt=str(path), samples=4, temperature=1, max_tokens=200, **options)
    found = drive(op, samples(ITEMS[0]), of, answers_of(engine))
    engine.close()
    failed = ", ".join(filter(None, (item.fields["judge_failed"] for item in found)))
    assert set(failed.split(", ")) <= {"", "truncated"}  # what came to its end could be read
    read = [item for item in found if item.fields["judge"] is not None]
    assert read and all(1 <= item.fields["judge"] <= 10 for item in read)
    assert all('"score"' in item.fields["judge_text"] for item in read)
    assert len(of.made) == 4 and all(made.template for made, _ in of.made)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 3}, "raise `temperature`"),
        ({"guided": True}, "needs `form: json`"),
        ({"min": 10}, "below max"),
        ({"pattern": "score"}, "0 groups"),
        ({"pattern": "(score"}, "judge.pattern is"),
    ],
)
def test_errors_name_the_fix(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        judge(**options)
    with pytest.raises(RecipeError, match="did you mean 'judge_answer'"):
        judge(prompt="judge_anser").check()
