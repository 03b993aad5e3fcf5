"""Boto's own descriptions of S3, read quickly: 1.5 MB of JSON before a task's first request."""

from __future__ import annotations

from typing import Any

__all__ = ["read_models_quickly"]


def read_models_quickly(session: Any) -> None:
    """Have a session read its descriptions with msgspec, which Airflow's tasks bring along.

    What is read is the same; only the time is another, a fifth of that of Python's own reader (botocore 1.44). A boto
    that reads in another way keeps its own.

    :param session: of botocore, before its first client.
    """
    import msgspec
    from botocore.loaders import JSONFileLoader

    class Quick(JSONFileLoader):  # type: ignore[misc]  # botocore has no types
        def _load_file(self, full_path: str, open_method: Any) -> Any:
            try:
                with open_method(full_path, "rb") as file:
                    return msgspec.json.decode(file.read())
            except (OSError, msgspec.DecodeError):
                return super()._load_file(full_path, open_method)

    session.get_component("data_loader").file_loader = Quick()
