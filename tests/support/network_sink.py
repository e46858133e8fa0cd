"""Runs a command in a network namespace of its own and tells what it tried to reach.

usage: python -m tests.support.network_sink COMMAND...

Inside, every address is this machine: a DNS server answers all names, and connections to the ports of HTTP and
HTTPS are accepted and closed. Nothing leaves the machine. The last line of stdout is one JSON object: {"names":
[...], "connections": [...], "rc": ...}. Needs Linux and either root or user namespaces.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

_INSIDE = "--inside"
_WEB_PORTS = (80, 443, 4317, 4318)


def namespace_command() -> list[str]:
    """What runs a command in new network and mount namespaces."""
    return ["unshare", "-nm"] if os.geteuid() == 0 else ["unshare", "-rnm"]


def can_make_namespaces() -> bool:
    """Whether this machine lets us: containers often do not."""
    try:
        check = [*namespace_command(), "ip", "link", "set", "lo", "up"]
        return subprocess.run(check, capture_output=True, check=False, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def main(arguments: list[str]) -> int:
    if arguments[:1] != [_INSIDE]:
        command = [*namespace_command(), sys.executable, "-m", "tests.support.network_sink", _INSIDE, *arguments]
        return subprocess.call(command)
    names: set[str] = set()
    connections: set[str] = set()
    _make_every_address_ours()
    _serve_dns(names)
    for port in _WEB_PORTS:
        _accept_all(port, connections)
    returned = subprocess.call(arguments[1:])
    seen = {"names": sorted(names), "connections": sorted(connections), "rc": returned}
    sys.stdout.write(json.dumps(seen) + "\n")
    sys.stdout.flush()
    os._exit(0)  # the threads wait for ever


def _make_every_address_ours() -> None:
    for command in (["link", "set", "lo", "up"], ["route", "add", "local", "0.0.0.0/0", "dev", "lo"]):
        subprocess.run(["ip", *command], check=True)
    with tempfile.NamedTemporaryFile("w", delete=False) as file:
        file.write("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    subprocess.run(["mount", "--bind", file.name, "/etc/resolv.conf"], check=True)


def _serve_dns(names: set[str]) -> None:
    listener = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listener.bind(("127.0.0.1", 53))

    def serve() -> None:
        while True:
            query, client = listener.recvfrom(4096)
            name, end = _name_in(query)
            names.add(name)
            is_ipv4 = query[end : end + 2] == b"\0\1"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x0a\0\0\1" if is_ipv4 else b""
            header = query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_ipv4 else b"\0\0") + b"\0\0\0\0"
            listener.sendto(header + query[12 : end + 4] + answer, client)

    threading.Thread(target=serve, daemon=True).start()


def _name_in(query: bytes) -> tuple[str, int]:
    """The name that is asked for, and where the question's type stands (RFC 1035, section 4.1.2)."""
    labels, at = [], 12
    while size := query[at]:
        labels.append(query[at + 1 : at + 1 + size].decode("latin-1"))
        at += 1 + size
    return ".".join(labels), at + 1


def _accept_all(port: int, connections: set[str]) -> None:
    listener = socket.create_server(("0.0.0.0", port), backlog=50)

    def accept() -> None:
        while True:
            connection, _ = listener.accept()
            host, number = connection.getsockname()
            connections.add(f"{host}:{number}")
            connection.close()

    threading.Thread(target=accept, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
