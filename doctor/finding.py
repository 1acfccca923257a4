"""What was found, in a sentence."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Of what was looked at."""

    GOOD = "good"
    WRONG = "wrong"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    sentence: what was found; unless that is good, why, and what to do.
    """

    subject: str
    state: State
    sentence: str


def good(subject: str, sentence: str) -> Finding:
    """It is as it should be."""
    return Finding(subject, State.GOOD, sentence)


def wrong(subject: str, sentence: str) -> Finding:
    """Serving would fail, or be slow or inexact."""
    return Finding(subject, State.WRONG, sentence)


def unchecked(subject: str, sentence: str) -> Finding:
    """It could not be looked at here."""
    return Finding(subject, State.UNCHECKED, sentence)


def missing(subject: str, device: str, sentence: str) -> Finding:
    """What a GPU needs is not here: wrong where one is asked for, on the CPU not checked."""
    return (unchecked if device == "cpu" else wrong)(subject, sentence)
