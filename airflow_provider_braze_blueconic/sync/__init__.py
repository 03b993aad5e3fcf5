"""The core: everything between reading one system and writing the other.

Imports neither Airflow nor the hooks; it is handed readers, senders, clocks and storage options.
Internal unless a module is listed in the reference page.
"""
