from pathlib import Path

from client.jobs import Job
from client.report import Report, Written

A, B, C, D, E = (Job(Path(f"{name}.jpg"), Path(f"{name}.png")) for name in "abcde")


def test_one_image_is_told_by_name() -> None:
    assert Report(written=[Written(A, 7, False)]).summary(1) == "Wrote a.png, seed 7."
    assert Report(skipped=[A]).summary(1) == "a.png exists; --overwrite makes it again."
    assert Report(failed=[A]).summary(1) == "1 failed."
    assert Report().summary(1) == "1 not done."


def test_several_are_counted() -> None:
    report = Report([Written(A, 7, False), Written(B, 8, False)], [C], [D])
    assert report.summary(5) == "2 upscaled, 1 skipped because they exist, 1 failed, 1 not done."


def test_flagged_pictures_are_named() -> None:
    summary = Report([Written(A, 7, True), Written(B, 8, False), Written(C, 9, True)]).summary(3)
    assert summary == "3 upscaled.\nFlagged by the safety checker: a.png, c.png."
