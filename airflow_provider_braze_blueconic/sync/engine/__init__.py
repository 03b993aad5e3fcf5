"""DuckDB as the set engine inside one task: connections, columns, partitions and SQL text."""
