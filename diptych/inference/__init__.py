"""Inference with a pushed model: verify, load, embed, compare and identify; galleries."""
