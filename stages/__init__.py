"""What runs inside Triton: the stages' own work, and the engines that they call.

The export copies this package beside every model.py. What knows Triton's Python API lies in
triton_errors, triton_caller, triton_metrics, bls, unet and engine_batch; all else is plain Python.
When these are imported, Triton's module is still empty but for a few numbers: its classes are added
once model.py has been imported, so annotations that name them are strings.
"""
