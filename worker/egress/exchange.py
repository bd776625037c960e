"""One request to a host and the answer to it."""

import h11

from protocol.errors import Refused
from worker.egress.message import Message, answered
from worker.egress.streams import Plain, Wire


class Upstream:
    """A connection to a host, kept as long as that of the box; `used` after its first exchange."""

    def __init__(self, key: tuple[str, str, int], stream: Plain) -> None:
        self.key = key
        self.wire = Wire(stream, h11.CLIENT)
        self.used = False

    def close(self) -> None:
        self.wire.stream.close()


async def ask(
    wire: Wire, upstream: Upstream, message: Message, *, again: bool = False
) -> h11.Response | None:
    """The head of the answer; None where a connection that was used before turned out to be closed. `again`
    where the request was read already, and had no body."""
    bare = again
    try:
        if again:
            await upstream.wire.say(message.head, h11.EndOfMessage())
        else:
            bare = await _sent(wire, upstream.wire, message)
        answer = await upstream.wire.next()
        while isinstance(answer, h11.InformationalResponse):
            answer = await upstream.wire.next()
    except (OSError, h11.RemoteProtocolError):
        if upstream.used and bare:
            return None
        raise
    if not isinstance(answer, h11.Response):
        if upstream.used and bare:
            return None
        raise OSError("it hung up without an answer")
    return answer


async def _sent(wire: Wire, to: Wire, message: Message) -> bool:
    """Whether there was no body."""
    if wire.expects_word:
        await wire.say(h11.InformationalResponse(status_code=100, headers=[]))
    first, head = True, [message.head]
    while True:
        event = await wire.next()
        if isinstance(event, h11.Data):
            await to.say(*head, h11.Data(data=bytes(event.data)))
            first, head = False, []
        elif isinstance(event, h11.EndOfMessage):
            await to.say(*head, h11.EndOfMessage())
            return first
        else:
            raise OSError("the box hung up in the middle of its request")


async def carry(wire: Wire, upstream: Upstream, answer: h11.Response, message: Message) -> bool:
    """The answer to the box, without what went in as a credential; false where it did not end well."""
    coded = [value for name, value in answer.headers if name == b"content-encoding" and value != b"identity"]
    if message.secret and coded:
        raise Refused("egress.answer_encoded", "the answer to a request with a credential is not readable")
    await wire.say(answered(answer, message.scrub))
    while True:
        event = await upstream.wire.next()
        if isinstance(event, h11.Data):
            piece = message.scrub.piece(bytes(event.data))
            if piece:
                await wire.say(h11.Data(data=piece))
        elif isinstance(event, h11.EndOfMessage):
            rest = message.scrub.rest()
            await wire.say(*([h11.Data(data=rest)] if rest else []), h11.EndOfMessage())
            return True
        else:
            raise OSError("it hung up in the middle of its answer")
