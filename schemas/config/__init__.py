"""The configuration file: one module per section; loading is separate from the models.

Each key is documented by the ``description`` of its field. ``diptych init`` writes the first
sentence as a comment, ``reference`` renders docs/configuration.md, and the JSON Schema contains it.
"""
