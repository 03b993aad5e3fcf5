"""A vendor's address, as an Airflow connection gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook

from airflow_provider_braze_blueconic.exceptions import AccessError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection


__all__ = ["Site"]

_SCHEMES = ("http", "https")


@dataclass(frozen=True)
class Site:
    """Where a vendor answers, taken from an Airflow connection.

    :param vendor: the vendor's name as people write it.
    :param conn_id: the connection's id.
    :param base_url: scheme, host, port and path, without a slash at the end.
    :param ca_file: path of a PEM file to trust instead of the usual authorities.
    """

    vendor: str
    conn_id: str
    base_url: str
    ca_file: str | None = None

    @property
    def place(self) -> str:
        """Vendor, host and connection, for a sentence."""
        return f'{self.vendor} at {urlsplit(self.base_url).netloc} (connection "{self.conn_id}")'

    @classmethod
    def load(cls, vendor: str, conn_id: str) -> tuple[Site, Connection]:
        """Read a connection.

        Its host may be a URL or a bare host, with or without port and path; ``https`` where no scheme is given.
        Connections written as a URI are understood as well: there ``schema`` may hold the scheme or the path.

        :raises AccessError: no such connection, no host, or a host that is no ``http(s)`` address.
        """
        try:
            connection = BaseHook.get_connection(conn_id)
        except AirflowNotFoundException:
            raise AccessError(f'There is no connection "{conn_id}". Add one of type {vendor}.') from None
        base_url = _base_url(connection.host, connection.schema, connection.port)
        if base_url is None:
            raise AccessError(
                f"The host of connection \"{conn_id}\" isn't a valid address. Set it to {vendor}'s, such as "
                "https://host.example."
            )
        ca_file = connection.extra_dejson.get("ca_file")
        return cls(vendor, conn_id, base_url, str(ca_file) if ca_file else None), connection


def _base_url(host: str | None, schema: str | None, port: int | None) -> str | None:
    """Put an address together; ``None`` where the parts make none."""
    text, path = _spelled_out((host or "").strip(), (schema or "").strip("/ "))
    try:
        parts = urlsplit(text)
        port = parts.port or port
    except ValueError:
        return None
    if not _is_usable(text, parts):
        return None
    bare = parts.hostname or ""
    bare = f"[{bare}]" if ":" in bare else bare
    place = bare if port is None else f"{bare}:{port}"
    return "/".join(part for part in (f"{parts.scheme}://{place}", parts.path.strip("/"), path) if part)


def _spelled_out(host: str, schema: str) -> tuple[str, str]:
    """Give a bare host its scheme, and say what of the schema is a path."""
    is_scheme = schema in _SCHEMES
    if "://" not in host:
        host = f"{schema if is_scheme else 'https'}://{host}"
    return host, "" if is_scheme else schema


def _is_usable(text: str, parts: SplitResult) -> bool:
    # A user and password in the address would be a second home for secrets, and would end up in logs.
    bare = bool(parts.hostname) and "@" not in parts.netloc and not parts.query and not parts.fragment
    return bare and parts.scheme in _SCHEMES and text.isprintable() and " " not in text
