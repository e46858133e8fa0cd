"""Typing replay: recorded-like typing sessions against this server and its peers, in one run."""
