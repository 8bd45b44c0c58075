"""The ClassCentroids step: centroids of the classes in the embedding of the model in production."""
