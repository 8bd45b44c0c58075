"""Trains the encoder on Ray, and exports it with its preprocessing and its threshold."""
