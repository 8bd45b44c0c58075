"""Judges the exported model on the test split, and against the one blessed before it."""
