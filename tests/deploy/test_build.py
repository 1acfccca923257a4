"""What the project can be installed as."""

import tomllib

import pytest

import build_backend
from tests.deploy.chart import ROOT


def test_there_is_no_wheel_and_the_build_says_what_to_do_instead() -> None:
    system = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    assert (system["build-backend"], system["backend-path"]) == ("build_backend", ["."])
    for build in (build_backend.build_wheel, build_backend.build_sdist):
        with pytest.raises(SystemExit, match="make venv"):
            build("folder")
