"""What a picture of an evaluation shows where there is more than it has room for."""

from __future__ import annotations

from tests.extras import needs

needs("matplotlib")

from train.evaluate.pictures import MOST, shown_of  # noqa: E402


def rows(models: int, sources: int) -> list[dict[str, str]]:
    names = ["all", *(f"s{n}" for n in range(1, sources))]
    return [{"model": f"m{n}", "source": name} for n in range(models) for name in names]


def test_every_model_is_in_a_picture_that_has_no_room_for_all_sources() -> None:
    shown = shown_of(rows(6, 8))
    assert [row["model"] for row in shown if row["source"] == "all"] == [f"m{n}" for n in range(6)]
    assert len(shown) == 6 * 6 <= MOST
    assert shown_of(rows(5, 8)) == rows(5, 8)
    assert len(shown_of(rows(50, 2))) == MOST
