"""What runs inside Triton: the stages' own work, and the engines that they call."""
