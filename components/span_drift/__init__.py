"""Drift of the newest span: from the one before it, and from all that the model is trained on."""
