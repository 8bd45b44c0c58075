"""Evaluate the exported model on the test split and compare it with the model in production."""
