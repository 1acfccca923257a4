"""What can go wrong in an export, as sentences for the person at the terminal."""


class ExportError(Exception):
    """An export that was refused; nothing is left in the output's place."""
