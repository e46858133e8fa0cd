"""Options whose value is how often each of several things comes: ``NAME=SHARE,NAME=SHARE``."""

from __future__ import annotations

from collections.abc import Collection

import typer


def parse_shares(text: str | None, option: str, known: Collection[str]) -> dict[str, float]:
    """The shares in ``text`` by name, relative to each other; empty without any.

    Raises typer.BadParameter for a name that is not among ``known`` or comes twice, a share that is no number of
    at least 0, and where all are 0.
    """
    shares: dict[str, float] = {}
    for part in text.split(",") if text is not None else ():
        name, _, value = (each.strip() for each in part.partition("="))
        if name not in known or name in shares:
            why = "comes twice" if name in shares else f"is not one of {', '.join(sorted(known))}"
            raise typer.BadParameter(f"{name!r} {why}", param_hint=option)
        shares[name] = _share(name, value, option)
    if shares and not sum(shares.values()):
        raise typer.BadParameter("all shares are 0", param_hint=option)
    return shares


def _share(name: str, value: str, option: str) -> float:
    try:
        share = float(value)
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise typer.BadParameter(f"the share of {name} must be a number of at least 0", param_hint=option)
    return share
