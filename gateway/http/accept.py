"""Which of several types a client wants: https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1."""

from collections.abc import Sequence


def preferred(accept: str, offered: Sequence[str], default: str) -> str:
    """The offered type that an Accept header likes best, the default where it likes none.

    Of types with one quality, first comes one that it names, then one that it names in part
    (image/*), and of these the first that is offered. Who takes everything gets the default.
    """
    ranges = dict(filter(None, map(_range_and_quality, accept.lower().split(","))))
    ratings = {kind: _rating(kind, ranges) for kind in offered}
    ratings[default] = max(ratings[default], (ranges.get("*/*", 0.0), 0))
    best = max(offered, key=lambda kind: ratings[kind])
    return best if ratings[best][0] > 0 else default


def _rating(kind: str, ranges: dict[str, float]) -> tuple[float, int]:
    """Quality, 0 to 1, and how exactly it is named."""
    for exactness, name in ((2, kind), (1, f"{kind.partition('/')[0]}/*")):
        if name in ranges:
            return ranges[name], exactness
    return 0.0, 0


def _range_and_quality(entry: str) -> tuple[str, float] | None:
    kind, *parameters = (part.strip() for part in entry.split(";"))
    named = [value for name, _, value in (p.partition("=") for p in parameters) if name == "q"]
    try:
        return kind, float(named[0]) if named else 1.0
    except ValueError:  # what cannot be read says nothing
        return None
