"""Functions in processes of their own."""

import os
import signal

import pytest

from doctor.apart import Failed, apart


def divided(left: int, right: int) -> float:
    return left / right


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def test_the_result_comes_back() -> None:
    assert apart(divided, 3, right=2) == 1.5


def test_what_is_raised_comes_back_in_words() -> None:
    with pytest.raises(Failed, match="division by zero"):
        apart(divided, 1, 0)


def test_a_crash_is_told() -> None:
    with pytest.raises(Failed, match="its process died"):
        apart(crash)
