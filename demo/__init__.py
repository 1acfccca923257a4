"""The demo model: training, evaluation and the model itself."""

import stages  # noqa: F401 - turns telemetry off before a library is imported that has one
