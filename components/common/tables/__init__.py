"""Readers of table files, one module per format; ``common.table_rows`` chooses among them."""
