"""Triton's log, as far as it says why a start failed."""

import re
from pathlib import Path

from embedded.wheel import PYTHON

# Of `E1127 05:59:41.035134 29013 server.cc:241] "the message"`, the message.
ERROR = re.compile(r'E\d{4} .*?\] "?(.*?)"?$')
FAILED_MODEL = re.compile(r"failed to load '\w+' version")
# The loader's words, of a stub or of a backend that Triton loads.
LIBRARY = re.compile(r"(\S+\.so[.\d]*): cannot open shared object file")
# What Triton logs as errors on every machine without a GPU.
HARMLESS = ("CudaDriverHelper has not been initialized", "unable to create stream for ")
FATAL = "error: "  # the last line of a server that gives up, without a time before it


def why_it_failed(log_path: Path, start: int = 0) -> str:
    """The sentence of Triton's log that a person needs; start: the byte where to begin.

    Of the models that failed to load the first, because those that need it fail after it.
    """
    with log_path.open("rb") as log:
        log.seek(start)
        lines = log.read().decode(errors="replace").splitlines()
    if missing := next(filter(None, map(LIBRARY.search, lines)), None):
        package = f" (Debian: apt install libpython{PYTHON})" if "libpython" in missing[1] else ""
        return f"it needs {missing[1]}, which is not installed{package}."
    found = [match[1] for match in map(ERROR.match, lines) if match]
    errors = [text for text in found if not text.startswith(HARMLESS)]
    failed = [text for text in errors if FAILED_MODEL.match(text)]
    fatal = [line for line in lines if line.startswith(FATAL)]
    causes = failed or errors or fatal or ["its log names no error."]
    return causes[0].split("\\n", 1)[0]  # of a Python error the message, without where it was
