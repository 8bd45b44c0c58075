"""What is done with a pushed model: compare, embed, find the nearest, answer over HTTP."""
