"""One request to a host and the answer to it."""

import h11

from protocol.errors import Refused
from worker.egress.message import Message, answered
from worker.egress.streams import Wire
from worker.egress.upstream import Upstream


async def ask(
    wire: Wire, upstream: Upstream, message: Message, *, again: bool = False
) -> h11.Response | None:
    """The head of the answer; None where a connection that was used before turned out to be closed. `again`
    where the request was read already, and had no body."""
    bare = again
    try:
        if not again and wire.expects_word:
            await wire.say(h11.InformationalResponse(status_code=100, headers=[]))
        part = h11.EndOfMessage() if again else await _part(wire)
        bare = isinstance(part, h11.EndOfMessage)
        await upstream.wire.say(message.head, part)
        while not isinstance(part, h11.EndOfMessage):
            part = await _part(wire)
            await upstream.wire.say(part)
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


async def _part(wire: Wire) -> h11.Data | h11.EndOfMessage:
    """What comes next of a request's body."""
    event = await wire.next()
    if isinstance(event, h11.Data):
        return h11.Data(data=bytes(event.data))
    if isinstance(event, h11.EndOfMessage):
        return h11.EndOfMessage()
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
