"""One connection of a box to its proxy: what it asks for is ruled upon, carried out, and told back."""

import asyncio
import ssl
from contextlib import suppress
from ipaddress import IPv4Address

import h11

from capabilities.egress import Asked, Unruled, passage, permits
from protocol.digest import canonical
from protocol.egress import READS
from protocol.errors import Fault, Refused, Unavailable
from worker.egress.exchange import ask, carry
from worker.egress.hello import LONGEST, greeting_of
from worker.egress.message import Place, asked_of, authority_of, filled
from worker.egress.streams import Plain, Stream, Tls, Wire
from worker.egress.terms import Terms
from worker.egress.upstream import Upstream

GREETING_SECONDS = 20.0


class Visit:
    """A connection, from its first byte to its last."""

    def __init__(self, terms: Terms) -> None:
        self._terms = terms
        self._upstream: Upstream | None = None

    async def serve(self, stream: Plain) -> None:
        wire = Wire(stream, h11.SERVER)
        try:
            with suppress(OSError, TimeoutError, ssl.SSLError, h11.LocalProtocolError):
                try:
                    request = await wire.next()
                    if not isinstance(request, h11.Request):
                        return
                    if request.method == b"CONNECT":
                        await self._connect(wire, stream, request)
                    else:
                        await self._exchanges(wire, request, None)
                except h11.RemoteProtocolError as error:
                    await self._deny(wire, Refused("egress.malformed", str(error)), None)
        finally:
            if self._upstream is not None:
                self._terms.spare.put(self._upstream)
            stream.close()

    async def _connect(self, wire: Wire, stream: Plain, request: h11.Request) -> None:
        asked = None
        try:
            place = authority_of(request.target.decode("ascii"), request)
            asked = Asked(scheme="https", host=place.host, port=place.port, method="CONNECT", path="")
            how = passage(self._terms.rules, place.host, place.port)
            if isinstance(how, Unruled):
                raise Refused(how.rule, how.reason)
            there = await self._terms.reach.to(place.host, place.port, tls=False) if how == "tunnel" else None
        except Fault as fault:
            return await self._deny(wire, fault, asked)
        try:
            await stream.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                greeting = await self._greeting(stream, wire.sent_ahead, place.host)
                if there is not None:
                    await self._terms.ledger.used("tunnel", asked)
            except Fault as fault:
                return await self._deny(None, fault, asked)
            if there is None:
                inside = Tls(stream, self._terms.authority.context(place.host), greeting)
                await inside.shake_hands()
                await self._inside(inside, place)
            else:
                await self._tunnel(stream, there, greeting, asked)
        finally:
            if there is not None:
                there.close()

    async def _greeting(self, stream: Stream, data: bytes, host: str) -> bytes:
        """The beginning of TLS for exactly this host; nothing else passes a CONNECT."""
        try:
            async with asyncio.timeout(GREETING_SECONDS):
                while (greeting := greeting_of(data)) is None:
                    piece = await stream.read()
                    if not piece or len(data) > LONGEST:
                        raise Refused("egress.malformed", "no TLS was begun after a CONNECT")
                    data += piece
        except ssl.SSLError:
            raise Refused("egress.malformed", "something else than TLS came after a CONNECT") from None
        name = greeting.name.lower() if greeting.name else None
        if name != host and not (name is None and _is_address(host)):
            raise Refused("egress.mismatch", f"a CONNECT to {host} greets {name or 'nobody'} by its TLS name")
        return data

    async def _inside(self, inside: Tls, place: Place) -> None:
        wire = Wire(inside, h11.SERVER)
        try:
            request = await wire.next()
            if isinstance(request, h11.Request):
                await self._exchanges(wire, request, place)
        except h11.RemoteProtocolError as error:
            asked = Asked(scheme="https", host=place.host, port=place.port, method="", path="")
            await self._deny(wire, Refused("egress.malformed", str(error)), asked)

    async def _tunnel(self, stream: Plain, there: Plain, greeting: bytes, asked: Asked) -> None:
        try:
            await there.write(greeting)
            async with asyncio.TaskGroup() as both:
                both.create_task(_poured(stream, there))
                both.create_task(_poured(there, stream))
        except* (OSError, TimeoutError):
            pass
        finally:
            with suppress(Fault):
                await self._terms.ledger.used("closed", asked)

    async def _exchanges(self, wire: Wire, request: h11.Request, place: Place | None) -> None:
        while await self._exchange(wire, request, place) and wire.again():
            following = await wire.next()
            if not isinstance(following, h11.Request):
                return
            request = following

    async def _exchange(self, wire: Wire, request: h11.Request, place: Place | None) -> bool:
        """Whether the connection may carry another one."""
        asked = None
        try:
            asked, target = asked_of(request, place)
            granted = permits(self._terms.rules, asked)
            if isinstance(granted, Unruled):
                raise Refused(granted.rule, granted.reason)
            message = filled(self._terms, request, asked, target, granted)
            upstream = await self._to(asked)
            if asked.method not in READS:
                await self._terms.ledger.used("request", asked)
        except Fault as fault:
            await self._deny(wire, fault, asked)
            return False
        try:
            answer = await ask(wire, upstream, message)
            if answer is None and asked.method in READS:  # it was closed while nobody used it
                upstream.close()
                upstream = await self._to(asked, anew=True)
                answer = await ask(wire, upstream, message, again=True)
            if answer is None:
                raise OSError("it hung up without an answer")
            return await carry(wire, upstream, answer, message)
        except Fault as fault:
            await self._deny(wire, fault, asked)
        except (OSError, TimeoutError, h11.RemoteProtocolError) as error:
            words = f"{asked.host}: {str(error) or type(error).__name__}"
            await self._deny(wire, Unavailable("egress.unreachable", words), asked)
        return False

    async def _to(self, asked: Asked, *, anew: bool = False) -> Upstream:
        """The connection of this one's; another where it is for another host, or is over. One that lay idle
        may have been closed: it serves what can be asked again."""
        key = (asked.scheme, asked.host, asked.port)
        if self._upstream is not None:
            if not anew and self._upstream.key == key and self._upstream.again():
                return self._upstream
            self._upstream.close()
        self._upstream = None if anew or asked.method not in READS else self._terms.spare.take(key)
        if self._upstream is not None:
            return self._upstream
        there = await self._terms.reach.to(asked.host, asked.port, tls=asked.scheme == "https")
        self._upstream = Upstream(key, there)
        return self._upstream

    async def _deny(self, wire: Wire | None, fault: Fault, asked: Asked | None) -> None:
        """A no is told where it is heard, and recorded; a failure is only told."""
        refused = isinstance(fault, Refused)
        if refused:
            await self._terms.ledger.denied(fault.code, fault.message, asked)
        if wire is None:
            return
        body = canonical({"error": {"code": fault.code, "message": fault.message}}) + b"\n"
        headers = [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ]
        with suppress(h11.LocalProtocolError):
            status = 403 if refused else 502
            data = h11.Data(data=body)
            await wire.say(h11.Response(status_code=status, headers=headers), data, h11.EndOfMessage())


async def _poured(source: Plain, into: Plain) -> None:
    while data := await source.read():
        await into.write(data)
    into.end()


def _is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
