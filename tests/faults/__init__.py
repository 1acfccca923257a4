"""The running server, broken on purpose."""
