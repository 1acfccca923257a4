"""What is known of the packages that the images install."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.deploy.dockerfile import DOCKER, ROOT, pins

LOCKS = sorted(DOCKER.glob("requirements-*.txt"))
# Not installed without a GPU, so the table's head names them: of the CUDA build of PyTorch, and the
# twin of onnxruntime.
ON_A_GPU = ("cuda-", "nvidia-", "triton", "onnxruntime-gpu")


def listed() -> dict[str, tuple[str, str]]:
    """Version and licence by name, from the table."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in (ROOT / "docs" / "licences.md").read_text().splitlines()
        if line.startswith("| ")
    ]
    return {re.sub(r"[._]", "-", name).lower(): (version, own) for name, version, own in rows[1:]}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.stem)
def test_the_table_of_licences_has_every_package(lock: Path) -> None:
    table, packages = listed(), pins(lock)
    assert packages
    for name, version in packages.items():
        if name.startswith(ON_A_GPU):
            continue
        assert name in table, f"{name} is not in docs/licences.md; make licences writes it anew"
        # A local part, as in 2.13.0+cpu, tells a build, not a version.
        assert table[name][0].partition("+")[0] == version, f"{name}: make licences"
        licence = table[name][1]
        assert not re.search(r"\bA?GPL", licence.replace("LGPL", "")), f"{name} is under {licence}"


@pytest.mark.images
def test_the_sbom_lists_every_package_with_its_hashes(tmp_path: Path) -> None:
    command = ["make", "sbom", f"SBOM={tmp_path}"]
    subprocess.run(command, cwd=ROOT, check=True)
    for lock in LOCKS:
        name = lock.stem.removeprefix("requirements-")
        sbom = json.loads((tmp_path / f"{name}.cdx.json").read_text())
        assert sbom["bomFormat"] == "CycloneDX"
        assert sbom["metadata"]["component"]["name"] == "upscale"
        components = {part["name"]: part for part in sbom["components"]}
        assert {name: part["version"] for name, part in components.items()} == pins(lock)
        for part in components.values():
            [reference] = part["externalReferences"]
            assert {entry["alg"] for entry in reference["hashes"]} == {"SHA-256"}
    environment = json.loads((tmp_path / "environment.cdx.json").read_text())
    licensed = [part["name"] for part in environment["components"] if part.get("licenses")]
    assert {"fastapi", "diffusers", "torch", "tritonclient"} <= set(licensed)
