"""Validate the data: a schema for identity columns, and a gate that stops on anomalies."""
