"""A pushed model in use: load, verify, embed, compare; galleries of labelled examples."""
