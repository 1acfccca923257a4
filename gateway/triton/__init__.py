"""The Tritons behind the gateway: calls, which of them serve, which gets the next request."""
