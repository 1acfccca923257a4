import pytest

from gateway.http.request_id import chosen_id, current_id


@pytest.mark.parametrize("offered", ["a", "6f1e-22.b:c_d", "x" * 128])
def test_a_usable_one_is_taken_over(offered: str) -> None:
    assert chosen_id(offered) == offered


@pytest.mark.parametrize("offered", ["", "x" * 129, "a b", "a\nb", "\u00e9", "<script>"])
def test_another_is_replaced_by_a_random_one(offered: str) -> None:
    first, second = chosen_id(offered), chosen_id(offered)
    assert first != second
    assert len(first) == 32


def test_outside_of_a_request_there_is_none() -> None:
    assert current_id() == ""
