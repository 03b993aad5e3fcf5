from tests.support.aws import nameless_caller
from tests.support.database import warm_duckdb

__all__ = ["nameless_caller", "warm_duckdb"]
