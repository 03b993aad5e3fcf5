"""Syncs customer profiles between Braze and BlueConic from Apache Airflow.

Airflow imports this package while it is still starting, so nothing here may import Airflow
or anything beyond the standard library.
"""

__version__ = "0.1.0"
