"""What can go wrong with the embedded Triton, as sentences for the person at the terminal."""


class TritonError(Exception):
    """Triton could not be started or has ended; the message says why."""
