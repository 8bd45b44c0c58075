"""Train the encoder on Ray, and export it with its preprocessing and its threshold."""
