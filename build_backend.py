"""Setuptools', for editable installations alone: `make venv` makes one.

A wheel would put folders named `client` and `export` into everybody's environment, and have neither
the model repository nor the demo model, which lie beside the packages.
"""

from typing import Any, NoReturn

from setuptools.build_meta import (  # type: ignore[import-untyped]
    build_editable,
    get_requires_for_build_editable,
    prepare_metadata_for_build_editable,
)

__all__ = [
    "build_editable",
    "build_sdist",
    "build_wheel",
    "get_requires_for_build_editable",
    "prepare_metadata_for_build_editable",
]


def build_wheel(*_: Any, **__: Any) -> NoReturn:
    """Say what to do instead."""
    raise SystemExit(
        "upscale has no wheel: it is run from a checkout, where `make venv` sets it up, or"
        " `pip install --editable .` does; its images are built by docker/."
    )


build_sdist = build_wheel
