"""The only code of this package that talks to a network.

Airflow's hooks are here, the calls to each system in that system's folder, and the transport in ``http``.
"""
