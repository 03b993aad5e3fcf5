from tests.support.nights import deadly_tables

__all__ = ["deadly_tables"]
