"""Triton from its Python wheel, and the gateway before it, as one process to start and stop."""
