"""What runs inside Triton: the stages' own work, and the engines that they call."""

import os

# Nothing here tells anybody outside anything. Both libraries read these when they are imported, and
# whoever imports them has imported this package before; see docs/RELIABILITY.md.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
