"""Where results go, and the links to them."""
