"""Fuzz targets: one module for each reader of untrusted bytes.

``check(data)`` of a module passes bytes to the reader. Its docstring names the refusals that the
reader documents; any other exception, and a violated property, is a finding. ``mutate``, if there
is one, changes an input so that it still gets past checksums. ``TOKENS`` are texts that a reader
gives a meaning.
"""

NAMES = ("images", "forms", "http", "galleries", "models", "tables", "tfrecords", "configurations")
