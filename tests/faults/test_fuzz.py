"""Files that a fuzzer makes, led by what they reach in the decoders' Python."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.hostile_images import HOSTILE
from tests.faults.image_files import FILES
from tests.server import ROOT

# Of the whole process, which keeps what earlier files took; test_images.py bounds that of each.
MEMORY_MB, ONE_FILE_S = 3072, 60


@pytest.mark.parametrize("seconds", [5, pytest.param(300, marks=pytest.mark.long)])
def test_no_file_does_harm(tmp_path: Path, seconds: int) -> None:
    """Other files in every run; what fails has libFuzzer's seed and the file."""
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    small = [content for make, _ in HOSTILE.values() if len(content := make()) < 1000]
    for number, content in enumerate([*FILES.values(), *small]):
        (corpus / str(number)).write_bytes(content)
    command = [sys.executable, "-m", "tests.faults.fuzz_image_file", str(corpus)]
    limits = {"max_total_time": seconds, "rss_limit_mb": MEMORY_MB, "timeout": ONE_FILE_S}
    command += [f"-{name}={value}" for name, value in limits.items()]
    command += ["-max_len=16384", f"-artifact_prefix={tmp_path}/"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[:1000] + result.stderr[-4000:]
    assert "Done " in result.stderr
