"""Where a model server is, what may be shown of its address, and the key for it."""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

import httpx

from completion_server.errors import ConfigError

_KEYRING_SERVICE = "completion-server"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ServerAddress:
    """A checked ``remote.url``. Paths of APIs are appended to ``base``, which has neither ``/v1`` nor a slash."""

    base: str
    host: str
    is_loopback: bool
    is_encrypted: bool

    @property
    def is_exposed(self) -> bool:
        """Whether text (and the key) would cross a network in the clear."""
        return not self.is_encrypted and not self.is_loopback


def parse_address(url: str) -> ServerAddress:
    """``url`` as written in the settings, with or without ``/v1``. Raises ConfigError.

    A user name or password in it is refused: addresses are shown and logged, keys are not.
    """
    try:
        parsed = httpx.URL(url.strip())
    except (httpx.InvalidURL, ValueError):
        # Without the library's words, which repeat parts of the address.
        raise ConfigError("remote.url is not an address like http://127.0.0.1:8080") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError("remote.url must begin with http:// or https:// and name a host")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigError(
            "remote.url must be a plain address; the key belongs in COMPLETION_SERVER_REMOTE_API_KEY"
        )
    path = parsed.path.rstrip("/").removesuffix("/v1")
    netloc = parsed.netloc.decode("ascii")
    return ServerAddress(
        f"{parsed.scheme}://{netloc}{path}", parsed.host, is_loopback(parsed.host), parsed.scheme == "https"
    )


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine, by its name or address alone; nothing is looked up."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def is_in_domain(host: str, domain: str) -> bool:
    """Whether ``host`` is ``domain`` or a name below it; ``notmistral.ai`` is not below ``mistral.ai``."""
    labels = host.lower().removesuffix(".").split(".")
    wanted = domain.split(".")
    return labels[-len(wanted) :] == wanted


def key_from_keyring(address: ServerAddress) -> str | None:
    """The key kept in the user's keyring for this address, where the package ``keyring`` is installed.

    It is stored with ``keyring set completion-server URL``. A keyring that cannot be opened has no key.
    """
    if find_spec("keyring") is None:
        return None
    try:
        found = import_module("keyring").get_password(_KEYRING_SERVICE, address.base)
    except Exception as error:  # noqa: BLE001 - each backend has errors of its own
        _log.warning("the keyring could not be read: %s", type(error).__name__)
        return None
    return found if isinstance(found, str) and found else None
