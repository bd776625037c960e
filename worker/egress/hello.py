"""The greeting of a TLS connection: whom its client believes to speak to."""

import ssl
from typing import NamedTuple

LONGEST = 16 * 1024


class Greeting(NamedTuple):
    """A whole one; `name` is None where it names no server."""

    name: str | None


def greeting_of(data: bytes) -> Greeting | None:
    """None while it is not whole. Raises ssl.SSLError for what is none."""
    names: list[str | None] = []

    def heard(_: object, name: str | None, __: object) -> int:
        names.append(name)
        return ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.sni_callback = heard
    incoming = ssl.MemoryBIO()
    incoming.write(data)
    try:
        context.wrap_bio(incoming, ssl.MemoryBIO(), server_side=True).do_handshake()
    except ssl.SSLWantReadError:
        return None
    except ssl.SSLError:
        if not names:
            raise
    return Greeting(names[0])
