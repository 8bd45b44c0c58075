"""The configuration file: one module per section; loading is separate from the models."""
