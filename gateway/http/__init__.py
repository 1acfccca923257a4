"""What HTTP itself asks for: connections, places, deadlines, one line of the log a request."""
