"""The ClassCentroids step: where the classes lie in the embedding of the model in production."""
