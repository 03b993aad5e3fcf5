from tests.support.database import warm_duckdb

__all__ = ["warm_duckdb"]
