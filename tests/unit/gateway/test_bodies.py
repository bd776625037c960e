"""Bodies: what has a digest is what was meant, not how it was written."""

from gateway.bodies import Body
from protocol.strict import decode


def test_white_space_and_order_make_no_difference() -> None:
    one = Body(decode(b'{"a": 1, "b": [1.0, "x"]}'))
    two = Body(decode(b'{"b":[1,"x"],\n"a":1}'))
    assert one.digest == two.digest
    assert one.digest != Body(decode(b'{"a":1,"b":["x",1]}')).digest
