"""Judges the exported model on the test split, and against the model in production."""
