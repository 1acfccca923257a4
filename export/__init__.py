"""From a diffusers checkpoint to a Triton model repository that can be deployed."""

import stages  # noqa: F401 - turns telemetry off before a library is imported that has one
