"""The client that notes when events come."""

from bench.listener import Listener

FRAME = b'id: %d\nevent: response.delta\ndata: {"n":%d}\n\n'


def heard(*chunks: bytes) -> Listener:
    listener = Listener(b"")
    for chunk in chunks:
        listener.data_received(chunk)
    return listener


def test_frames_are_found_wherever_the_bytes_are_cut() -> None:
    stream = b"HTTP/1.1 200 OK\r\n\r\n30\r\nretry: 1000\n\n\r\n" + b"".join(FRAME % (n, n) for n in (1, 2, 3))
    for cut in range(1, len(stream)):
        listener = heard(stream[:cut], stream[cut:])
        assert [seq for seq, _ in listener.came] == [1, 2, 3]
        assert listener.data == [b'{"n":1}', b'{"n":2}', b'{"n":3}']


def test_what_is_missing_or_out_of_order_is_counted() -> None:
    assert heard(FRAME % (1, 1), FRAME % (2, 2)).gaps == 0
    assert heard(FRAME % (1, 1), FRAME % (3, 3)).gaps == 1
    assert heard(FRAME % (2, 2), FRAME % (1, 1)).gaps == 2
