"""What cannot be made in time is refused with a number; what is unknown is tried."""

import pytest

from gateway.errors import InsufficientCapacity, TooSlow
from gateway.estimate.refusal import check_duration
from tests.gateway.estimate.test_pace import REST_S, SMALL, Machine, taught

ALONE_S = 10 * 0.125 + REST_S


def test_what_is_unknown_is_tried() -> None:
    check_duration(Machine().pace, SMALL, 0.001)


def test_what_takes_longer_than_it_may_is_refused_with_the_seconds() -> None:
    machine = taught()
    machine.makes(SMALL)
    check_duration(machine.pace, SMALL, ALONE_S + 0.01)
    with pytest.raises(TooSlow, match=r"would take 4 s or more for it, and 3 s are allowed"):
        check_duration(machine.pace, SMALL, 3.0)


def test_what_only_waits_for_too_long_is_for_another_server() -> None:
    machine = taught(max_in_progress=1)
    machine.makes(SMALL)
    machine.begins(SMALL)
    machine.arrives(SMALL)
    with pytest.raises(InsufficientCapacity, match=r"it would take 13 s or more, and 8 s are"):
        check_duration(machine.pace, SMALL, 8.0)
    machine.stack.close()
    check_duration(machine.pace, SMALL, 8.0)
