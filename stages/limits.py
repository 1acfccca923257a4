"""What the stages and those who call them agree on."""

SCALE = 4  # pixels of the result for one of the image, height and width
MAX_INFERENCE_STEPS = 1000  # that the scheduler was trained with
DEFAULT_INFERENCE_STEPS = 75  # diffusers' own, and the contract's
