"""The SpanDrift step: drift of the newest span from the previous span and the other spans."""
