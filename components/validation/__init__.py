"""Validate the data: curate the schema, and stop on anomalies."""
