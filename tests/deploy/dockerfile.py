"""A Dockerfile as its instructions, continuation lines joined."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
DOCKERFILES = sorted(DOCKER.glob("*.Dockerfile"))


def instructions(path: Path) -> list[tuple[str, str]]:
    """(`RUN`, its arguments) and so on, in order."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [
        (line.split(maxsplit=1)[0], line.split(maxsplit=1)[1])
        for line in joined.splitlines()
        if line
    ]


def copied(path: Path) -> list[str]:
    """What it copies from the repository, not from an earlier stage."""
    copies = [text.split() for name, text in instructions(path) if name == "COPY"]
    return [source for words in copies if "--from=" not in words[0] for source in words[:-1]]


def locks(path: Path) -> list[Path]:
    """The locks that its pip lines install."""
    runs = " ".join(text for name, text in instructions(path) if name == "RUN")
    return [DOCKER / Path(name).name for name in re.findall(r"-r (\S+\.txt)", runs)]


def pins(lock: Path) -> dict[str, str]:
    """Version by package."""
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)(?: \\)?$", lock.read_text(), re.MULTILINE))
