"""Measurements, not tests: ``make bench``.

A *measurement* is one process, ``python -m tests.bench.<part> --… --json FILE``.
It measures the product that its ``PYTHONPATH`` finds, prints its figures for people, and writes them to FILE::

    {
      "product": "/…/airflow_provider_braze_blueconic",
      "figures": {
        "map, first night": {"value": 3.91, "unit": "s", "better": "lower"},
        "people": {"value": 85500, "unit": "people/s", "better": "higher"}
      }
    }

``product`` is the folder of the package that was measured: :mod:`tests.bench.pairs` refuses figures of another one.
The keys of ``figures`` name rows of the table, and are the same for every size and every product.
A measurement that can't vouch for its figures (people are missing) exits with another code than 0. What was measured
but isn't good enough, such as a broken cap, is a figure all the same: the other product's may be compared with it.
:class:`tests.bench.figures.Figures` collects, prints and writes all that.

:mod:`tests.bench.rows` lists the measurements: which part, with which arguments at which scale, which rows, and what is
wanted of each. ``python -m tests.bench`` runs them for this worktree and, with ``--against``, in turn for another one,
with the code of *this* worktree's bench both times.
So a part drives the product through what is the same in both: goal files, ``load_goals``, the tasks of
``braze_blueconic__<goal id>`` and their references. Other imports of the product belong inside functions, with a second
way where a name has moved: :mod:`tests.bench.product` is the place for these.
"""
