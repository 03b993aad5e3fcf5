"""CSV files: a folder of them as the source, and a delivery as the target."""
