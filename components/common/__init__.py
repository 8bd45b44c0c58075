"""Code that several steps share: files and tables, images, the exported model."""
