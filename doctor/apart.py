"""A function in a process of its own: what a library does to it, that process alone suffers."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, ParamSpec, TypeVar

from export.quiet import quiet_libraries

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


class Failed(RuntimeError):
    """What was raised there, in its words, or that the process died."""


def apart(
    function: Callable[Arguments, Result], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Result:
    """Its result. Raises Failed where it raised something, and where its process was ended."""
    with ProcessPoolExecutor(1, get_context("spawn"), quiet_libraries) as pool:
        try:
            result, why = pool.submit(_called, function, args, kwargs).result()
        except BrokenProcessPool as error:
            raise Failed(
                "its process died, by a crash of a library or for want of memory; `dmesg` knows"
            ) from error
    if why is not None:
        raise Failed(why)
    answer: Result = result
    return answer


def _called(function: Callable[..., Any], args: Any, kwargs: Any) -> tuple[Any, str | None]:
    """The result, or the error's text: libraries' exceptions do not all cross processes."""
    try:
        return function(*args, **kwargs), None
    except Exception as error:
        return None, str(error).strip().rstrip(".") or type(error).__name__
