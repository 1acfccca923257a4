"""Every error has a status in both profiles."""

from gateway.errors import (
    STATUSES,
    BackendError,
    ErrorAnswers,
    ErrorProfile,
    ImageTooLarge,
    InsufficientCapacity,
    InvalidImage,
    UpscaleError,
)


def tree(kind: type[UpscaleError]) -> list[type[UpscaleError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]


def test_livepeer_sees_the_statuses_of_the_contract_only() -> None:
    assert ErrorAnswers(ErrorProfile.LIVEPEER).statuses() == [400, 401, 500]


def test_http_has_its_own_vocabulary() -> None:
    expected = [400, 401, 408, 413, 429, 500, 503, 504]
    assert ErrorAnswers(ErrorProfile.HTTP).statuses() == expected


def test_an_error_has_the_status_of_the_nearest_class_in_the_table() -> None:
    answers = ErrorAnswers(ErrorProfile.HTTP)
    assert answers.status(InvalidImage("x")) == 400
    assert answers.status(ImageTooLarge("x")) == 413
    assert answers.status(InsufficientCapacity()) == 429
    assert answers.status(BackendError()) == 503


def test_only_plain_faults_of_ours_fall_through_to_the_last_row() -> None:
    own = [kind for kind in tree(UpscaleError) if not set(kind.__mro__[:-4]) & set(STATUSES)]
    assert own == [UpscaleError]
