"""The demo model: measured, and shown in pictures."""
