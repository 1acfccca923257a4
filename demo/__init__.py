"""The demo model: training, evaluation and the model itself."""
