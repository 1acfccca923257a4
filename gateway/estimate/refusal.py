"""What cannot be made in time is refused at once, and not after it has cost all of that time."""

from gateway.errors import InsufficientCapacity, TooSlow
from gateway.estimate.pace import Pace
from gateway.estimate.work import Work


def check_duration(pace: Pace, work: Work, allowed_s: float) -> None:
    """Raise TooSlow or, for what only those before it hold up, InsufficientCapacity.

    Only for what others of about its size took lately: what is unknown is tried.
    allowed_s: how long it may take, seconds.
    """
    alone_s, behind_s = pace.least_seconds(work)
    if alone_s > allowed_s:
        raise TooSlow(alone_s, allowed_s)
    if behind_s > allowed_s:
        raise InsufficientCapacity(
            f"behind the requests that are here it would take {behind_s:.0f} s or more, and"
            f" {allowed_s:.0f} s are allowed; try again later."
        )
