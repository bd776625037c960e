"""How the proxy reaches a host: by an address that was checked, under a name that is proven."""

import asyncio
import ssl
from pathlib import Path

from protocol.errors import Refused, Unavailable
from providers.web.guard import Guard
from worker.egress.streams import Plain

SECONDS = 10.0


class Reach:
    """Dials for all boxes; the guard is that of `web_fetch`."""

    def __init__(self, guard: Guard, ca: Path | None) -> None:
        self._guard = guard
        self._trust = ssl.create_default_context()
        if ca is not None:
            self._trust.load_verify_locations(ca)
        self._trust.set_alpn_protocols(["http/1.1"])

    async def to(self, host: str, port: int, *, tls: bool) -> Plain:
        """Raises Refused for an address that is not public, Unavailable where nobody answers."""
        failed: Exception = OSError("it has no address")
        try:
            async with asyncio.timeout(SECONDS):
                addresses = await self._guard.addresses(host, port)
        except Refused as fault:
            raise Refused("egress.address", fault.message) from None
        except TimeoutError:
            raise Unavailable("egress.unreachable", f"{host} cannot be looked up") from None
        for address in addresses:
            try:
                async with asyncio.timeout(SECONDS / len(addresses)):
                    trust, name = (self._trust, host) if tls else (None, None)
                    opened = await asyncio.open_connection(address, port, ssl=trust, server_hostname=name)
                    return Plain(*opened)
            except ssl.SSLError as error:
                words = f"{host}:{port} does not prove its name: {error.reason or error}"
                raise Unavailable("egress.unreachable", words) from None
            except (OSError, TimeoutError) as error:
                failed = error
        words = f"{host}:{port} does not answer: {str(failed) or type(failed).__name__}"
        raise Unavailable("egress.unreachable", words)
