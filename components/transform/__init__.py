"""Turn raw features into the encoder's input, with one graph for training and serving."""
