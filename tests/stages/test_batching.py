from dataclasses import dataclass

from stages.batching import batches


@dataclass(frozen=True)
class Item:
    name: str
    size: tuple[int, int] = (8, 8)
    rows: int = 1


def names(items: list[Item], max_rows: int) -> list[str]:
    return ["".join(item.name for item in batch) for batch in batches(items, max_rows)]


def test_sizes_do_not_mix_and_order_is_kept() -> None:
    items = [Item("a"), Item("b", (8, 16)), Item("c"), Item("d", (8, 16))]
    assert names(items, 16) == ["ac", "bd"]


def test_rows_are_bounded() -> None:
    items = [Item("a", rows=2), Item("b", rows=2), Item("c"), Item("d", rows=2), Item("e", rows=2)]
    assert names(items, 4) == ["ab", "cd", "e"]


def test_a_job_larger_than_the_bound_goes_alone() -> None:
    assert names([Item("a", rows=2), Item("b", rows=2)], 1) == ["a", "b"]


def test_nothing_makes_no_batch() -> None:
    assert names([], 4) == []
