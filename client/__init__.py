"""The command line's side of `POST /upscale`: files in, files out."""
