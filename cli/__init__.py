"""The command `upscale`: a file for each of its commands."""
