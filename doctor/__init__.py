"""`upscale doctor`: looks at a machine before it is to serve, part by part."""
