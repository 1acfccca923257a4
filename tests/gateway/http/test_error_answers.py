"""Every error has a status in both profiles."""

import re
from pathlib import Path

from gateway.errors import (
    BodyTooLarge,
    BrokenPicture,
    ForeignOrigin,
    ImageTooLarge,
    InsufficientCapacity,
    InvalidImage,
    InvalidRequest,
    NotReady,
    RequestTimeout,
    StoreFailed,
    TritonFailed,
    Unauthorized,
    UnsupportedEncoding,
    UploadTimeout,
    UpscaleError,
)
from gateway.http.error_answers import STATUSES, ErrorAnswers, ErrorProfile

API = Path(__file__).parents[3] / "docs" / "api.md"
INVALID_FIELD = "a form field is missing or of the wrong type"  # FastAPI's own 422
TOO_LARGE = "an image of too many pixels, a body of too many bytes"
BUSY = 'busy; the message contains "insufficient capacity", `Retry-After` is set'
UNAVAILABLE = "the model is still loading, or Triton or the store of results failed"
ROWS = {
    InvalidRequest: "values or a file that cannot be used",
    ImageTooLarge: TOO_LARGE,
    BodyTooLarge: TOO_LARGE,
    UploadTimeout: "the body did not arrive in time",
    UnsupportedEncoding: "the body has a `Content-Encoding`",
    ForeignOrigin: "a web page of an origin that `CORS_ORIGINS` does not name, where no token is"
    " asked for",
    Unauthorized: "no bearer token, or a wrong one",
    InsufficientCapacity: BUSY,
    NotReady: UNAVAILABLE,
    TritonFailed: UNAVAILABLE,
    StoreFailed: UNAVAILABLE,
    RequestTimeout: "the request took too long, or would by what others of its size took here; then"
    " at once, with the seconds",
    BrokenPicture: "the model made no picture: not finite, or of one colour",
    UpscaleError: "a fault of ours",
}


def tree(kind: type[UpscaleError]) -> list[type[UpscaleError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in tree(child))]


def test_livepeer_sees_the_statuses_of_the_contract_only() -> None:
    assert ErrorAnswers(ErrorProfile.LIVEPEER).statuses() == [400, 401, 500]


def test_http_has_its_own_vocabulary() -> None:
    expected = [400, 401, 403, 408, 413, 415, 429, 500, 503, 504]
    assert ErrorAnswers(ErrorProfile.HTTP).statuses() == expected


def test_an_error_has_the_status_of_the_nearest_class_in_the_table() -> None:
    answers = ErrorAnswers(ErrorProfile.HTTP)
    assert answers.status(InvalidImage("x")) == 400
    assert answers.status(ImageTooLarge("x")) == 413
    assert answers.status(InsufficientCapacity()) == 429
    assert answers.status(TritonFailed()) == 503


def test_only_plain_faults_of_ours_fall_through_to_the_last_row() -> None:
    own = [kind for kind in tree(UpscaleError) if not set(kind.__mro__[:-4]) & set(STATUSES)]
    assert own == [UpscaleError]


def test_the_readme_has_the_statuses_of_both_profiles() -> None:
    table = API.read_text().split("\n## Statuses\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (.+) \| (\d+) \| (\d+) \|$", table, re.MULTILINE)
    documented = {(what, int(livepeer), int(http)) for what, livepeer, http in rows}
    expected = {(ROWS[kind], *statuses) for kind, statuses in STATUSES.items()}
    assert documented == expected | {(INVALID_FIELD, 422, 422)}
