"""What the steps say to each other: configuration, artifact types, tables, errors."""
