"""One goal on a cluster, by hand: ``make cluster-test``.

CeleryExecutor, PostgreSQL, Redis, and two workers that share nothing but S3: each has an ``AIRFLOW_HOME``, a copy of
the DAGs and a work folder of its own, and its own keys for S3 and Braze, by which the servers tell who is asking.

* Night 1: a worker is killed with -9 in ``map_fields``, one in ``compute_delta`` and one in the middle of its
  ``upload``. A server of ours holds the request at which that happens until the worker is dead, so it is never too late.
* Night 2: everybody has changed, two workers.
* Night 3: everybody has changed again, one worker.

After each night what Braze got is compared with what was to be sent, with the receipts and with the ledger
(:mod:`tests.cluster.audit`).
"""
