"""Contracts between steps: configuration, artifact types, file formats and errors."""
