import os

import stages  # noqa: F401 - turns telemetry off before a library is imported that has one

# PyTorch's threads that wait in a loop take the processor from what they wait for wherever more
# runs than there are processors, as with two workers: diffusers' pictures took 20 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
