"""Markup and pictures: text stays text, scales end where they should, numbers are round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.pages.html import Html, percent, shown, table, tag, text
from pipelines.pages.svg.bars import bars, dots, stacked
from pipelines.pages.svg.frame import Scale, clipped, compact, told_apart
from pipelines.pages.svg.plots import area, histogram, scatter, steps
from tests.pipelines.pages.reading import read


@given(st.text())
def test_any_text_comes_back_as_it_was(value: str) -> None:
    kept = "".join("\ufffd" if text(c) == "\ufffd" else c for c in value)
    element = read(tag("p", value, title=value)).all("p")[0]
    assert element.text == kept and element.attributes["title"] == kept


def test_only_html_is_markup() -> None:
    assert tag("p", "<b>", Html("<b></b>"), ["&", None, 3]) == "<p>&lt;b&gt;<b></b>&amp;3</p>"
    assert tag("rect", x=1, class_="f0", aria_label='"') == (
        '<rect x="1" class="f0" aria-label="&quot;"/>'
    )


def test_numbers_for_people() -> None:
    assert [shown(v) for v in (None, True, 1234567, 0.12345, 12345.6, float("nan"))] == [
        *("", "yes", "1,234,567", "0.1235", "12,346", "nan")
    ]
    assert [percent(v) for v in (0, 0.00001, 0.1234, 1)] == [
        *("0.00 %", "<0.01 %", "12.34 %", "100.00 %")
    ]
    assert [compact(v) for v in (0, 0.25, 999, 1000, 1.5e6, 2e9)] == [
        *("0", "0.25", "999", "1k", "1.5M", "2B")
    ]
    assert len({told_apart([0.9985, 0.999, 0.9995])(v) for v in (0.9985, 0.999, 0.9995)}) == 3
    assert clipped("gopher_repetition.max_top_2gram_chars", 20) == "gopher_…_2gram_chars"


def test_a_long_table_says_what_it_leaves_out() -> None:
    root = read(table(["n"], [{"n": n} for n in range(1000)]))
    assert len(root.table()) == 200 and "800 more rows" in root.text


@given(
    st.floats(-1e9, 1e9, allow_subnormal=False),
    st.floats(0, 1e9, allow_subnormal=False),
    st.booleans(),
)
def test_ticks_lie_inside_and_are_few(low: float, span: float, log: bool) -> None:
    if log:
        low = abs(low) + 1e-3
    high = low + span
    scale = Scale(low, high, 0, 100, log)
    ticks = scale.ticks()
    slack = 0.01 * high if log else 1e-6 * max(1.0, abs(low), span)
    assert len(ticks) <= 14
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert scale(low) == 0
    assert span < slack or scale(high) == pytest.approx(100)


def test_pictures_of_nothing_and_of_one() -> None:
    for picture in (
        bars("t", [], {"a": []}),
        bars("t", ["x"], {"a": [0]}),
        stacked("t", ["x"], {"a": [0], "b": [0]}),
        dots("t", ["x"], {"a": [0.0]}, {4.0: "four"}),
        histogram("t", [0.0, 1.0], [0]),
        steps("t", [0, 10], {"a": [0]}),
        area("t", [0, 10], {"a": [0.0]}),
        scatter("t", {"a": []}, "x", "y"),
        scatter("t", {"a": [(1.0, 1.0), (float("nan"), 2.0)]}, "x", "y"),
    ):
        root = read(picture)
        assert root.all("svg") and "nan" not in root.all("svg")[0].text


def test_a_stack_fills_the_width_and_a_bar_its_share() -> None:
    rects = read(stacked("t", ["x"], {"a": [1], "b": [3]})).all("rect")
    a, b = (float(rect.attributes["width"]) for rect in rects)
    assert b / a == pytest.approx(3, rel=0.01)
    assert float(rects[1].attributes["x"]) == pytest.approx(
        float(rects[0].attributes["x"]) + a, abs=0.2
    )
    assert [rect.text for rect in rects] == ["x, a: 1 (25.00 %)", "x, b: 3 (75.00 %)"]


def test_what_a_picture_leaves_out_is_said() -> None:
    labels = [str(n) for n in range(4000)]
    figure = read(bars("Rows", labels, {"a": list(range(4000))}))
    assert figure.all("figcaption")[0].text == "Rows: the first 30 of 4,000"
    assert len(figure.all("rect")) == 30
