"""What is masked in an answer, however it is spelt and cut."""

import base64
import random

from worker.egress.scrub import Scrub

SECRET = b'tok/en"of+the house'


def test_each_spelling_is_masked_and_lengths_stay() -> None:
    scrub = Scrub([SECRET])
    for text in (
        SECRET,
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        b'{"a": "tok/en\\"of+the house"}',
        b"key=tok%2Fen%22of%2Bthe%20house",
        *(base64.b64encode(b"x" * before + SECRET + b"tail") for before in range(6)),
        *(base64.urlsafe_b64encode(b"x" * before + SECRET + b"tail") for before in range(3)),
    ):
        masked = scrub.whole(b"before " + text + b" after")
        assert len(masked) == len(text) + 13
        assert b"*" * 8 in masked, text
    assert scrub.whole(b"token of the house") == b"token of the house"


def test_a_secret_that_is_cut_into_pieces_is_masked_all_the_same() -> None:
    chance = random.Random(1)
    data = b"a" + SECRET + b"b" + SECRET[:7] + base64.b64encode(b"u:" + SECRET) + b"end" + SECRET[:-1]
    whole = Scrub([SECRET]).whole(data)
    for _ in range(300):
        scrub, told, at = Scrub([SECRET]), b"", 0
        while at < len(data):
            size = chance.randint(1, 9)
            told += scrub.piece(data[at : at + size])
            at += size
        assert told + scrub.rest() == whole


def test_nothing_is_held_back_that_cannot_be_the_beginning_of_a_secret() -> None:
    assert Scrub([SECRET]).piece(b"data: hello\n\n") == b"data: hello\n\n"
    assert Scrub([]).piece(SECRET) == SECRET
