"""Images and tables from disk, for training and for serving alike: bounded, and checked."""
