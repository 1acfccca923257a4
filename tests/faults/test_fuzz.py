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


@pytest.mark.parametrize(
    ("bound", "value"),
    [("runs", 5000), pytest.param("max_total_time", 300, marks=pytest.mark.long)],
)
def test_no_file_does_harm(tmp_path: Path, bound: str, value: int) -> None:
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    small = [content for make, _ in HOSTILE.values() if len(content := make()) < 1000]
    for number, content in enumerate([*FILES.values(), *small]):
        (corpus / str(number)).write_bytes(content)
    command = [sys.executable, "-m", "tests.faults.fuzz_image_file", str(corpus)]
    limits = {bound: value, "rss_limit_mb": MEMORY_MB, "timeout": ONE_FILE_S}
    command += [f"-{name}={value}" for name, value in limits.items()]
    command += ["-seed=1", "-max_len=16384", f"-artifact_prefix={tmp_path}/"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr[-4000:]
    assert "Done " in result.stderr
