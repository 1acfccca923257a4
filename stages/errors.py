"""What a stage can answer in the place of a result, as codes that cross processes.

Triton passes an error on as a text and one of a few statuses, some of which it uses for faults of
its own too. So the text begins with a code in brackets, and whoever calls a stage reads the code,
never the words: `[image_too_large] The image ...`.

StageError
  InvalidRequest          values that no job can be made of
    ImageTooLarge         more pixels than the memory budget has room for
    NoSafetyChecker       a check is asked for, and the repository has no checker
  InsufficientCapacity    as many requests wait as may
  DeadlineExceeded        the caller's time was over before its job was
  Cancelled               the caller went away
  EngineFailed            an engine answered with an error
    OutOfMemory           there was no memory for its call
  BrokenPicture           an engine answered with what is no picture
"""

import re
from typing import ClassVar

CODE = re.compile(r"\[([a-z_]+)\] ")


class StageError(Exception):
    """Its text is a sentence for the caller; `message` is what Triton passes on."""

    code: ClassVar[str]

    @property
    def message(self) -> str:
        return f"[{self.code}] {self}"


class InvalidRequest(StageError):
    """A request whose values no job can be made of."""

    code = "invalid_request"


class ImageTooLarge(InvalidRequest):
    """An image that would not fit into the memory budget even alone."""

    code = "image_too_large"


class NoSafetyChecker(InvalidRequest):
    """A request asks for the safety check of a repository that has no safety checker."""

    code = "no_safety_checker"

    def __init__(
        self, text: str = "safety_check is true, but there is no safety checker; send false."
    ) -> None:
        super().__init__(text)


class InsufficientCapacity(StageError):
    """As many requests wait as may; nothing of this one was done."""

    code = "insufficient_capacity"


class DeadlineExceeded(StageError):
    """The caller's time was over before its job was."""

    code = "deadline_exceeded"


class Cancelled(StageError):
    """The caller went away before its job was done."""

    code = "cancelled"


class EngineFailed(StageError):
    """An engine answered with an error, or could not be called."""

    code = "engine_failed"


class OutOfMemory(EngineFailed):
    """There is no memory for what a request needs, on the GPU or beside it."""

    code = "out_of_memory"


class BrokenPicture(StageError):
    """What an engine made is no picture: not finite, or of one colour where the image is not."""

    code = "broken_picture"


ERRORS: dict[str, type[StageError]] = {
    error.code: error
    for error in (
        InvalidRequest,
        ImageTooLarge,
        NoSafetyChecker,
        InsufficientCapacity,
        DeadlineExceeded,
        Cancelled,
        EngineFailed,
        OutOfMemory,
        BrokenPicture,
    )
}

# How the libraries say it: CUDA and PyTorch; ONNX Runtime's arena, twice; cuDNN and cuBLAS; PyTorch
# on the CPU; C++. Their exceptions share no class, and Triton passes on the words alone.
NO_MEMORY = re.compile(
    r"out of memory|Failed to allocate memory|smaller than requested bytes|ALLOC(ATION)?_FAILED"
    r"|can't allocate memory|bad_?\W?alloc",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException | str) -> bool:
    """Whether an error, or its text, is that there was no memory."""
    return isinstance(error, MemoryError) or NO_MEMORY.search(str(error)) is not None


def engine_error(name: str, why: BaseException | str) -> EngineFailed:
    """The error for a call of an engine that went wrong; what it says of memory is left out."""
    if is_out_of_memory(why):
        return OutOfMemory(f"{name}: there was not enough memory for this call.")
    return EngineFailed(f"{name}: {why}")


def error_of(message: str) -> StageError | None:
    """The error in a message that Triton passed on, None where the words are Triton's own.

    Triton may put words of its own before the code.
    """
    found = CODE.search(message)
    error = ERRORS.get(found[1]) if found else None
    return error(message[found.end() :]) if found and error else None
