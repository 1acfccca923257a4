"""What made the demo model: its pictures, its networks and their training."""
