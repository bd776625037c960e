"""Whom TLS believes: the machine's authorities, read once, because reading them takes some 30 ms."""

import ssl
from functools import cache

import httpx2


def trust_for(url: str) -> ssl.SSLContext | bool:
    """What a client verifies the server at an address with; without TLS there is nothing to verify."""
    return _authorities() if url.startswith("https:") else False


@cache
def _authorities() -> ssl.SSLContext:
    return httpx2.create_ssl_context(trust_env=False)
