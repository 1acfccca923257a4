"""Result files: whole or not there."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, replacing what is there, so that nobody ever sees a part of it.

    The bytes go to a hidden file beside it, which is then renamed. Raises OSError, and then path
    is as it was.
    """
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:  # not tempfile's, which would be the owner's alone
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
