"""What operators see: log, metrics, traces."""
