"""What runs inside Triton: the stages' own work, and the engines that they call.

The export copies this package beside every model.py. What knows Triton's Python API lies in
triton_errors, triton_caller, triton_metrics, bls, unet and engine_batch; all else is plain Python.
When these are imported, Triton's module is still empty but for a few numbers: its classes are added
once model.py has been imported, so annotations that name them are strings.
"""

import os

# Nothing here tells anybody outside anything. Both libraries read these when they are imported, and
# whoever imports them has imported this package before; see docs/RELIABILITY.md.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
