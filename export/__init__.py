"""From a diffusers checkpoint to a Triton model repository that can be deployed."""
