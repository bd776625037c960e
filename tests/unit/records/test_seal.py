"""What is sealed opens for the place it was sealed for, under the same pepper, and nowhere else."""

import base64

from records.seal import Seal


def test_what_is_sealed_opens_in_its_place_only() -> None:
    seal = Seal(b"pepper")
    sealed = seal.close("a token", "account", "ab", "c")
    assert seal.open(sealed, "account", "ab", "c") == "a token"
    assert seal.open(sealed, "account", "a", "bc") is None
    assert seal.open(sealed, "pending", "ab", "c") is None
    assert Seal(b"other").open(sealed, "account", "ab", "c") is None


def test_two_seals_of_one_text_differ_and_a_changed_byte_opens_nothing() -> None:
    seal = Seal(b"pepper")
    first, second = seal.close("a token", "x"), seal.close("a token", "x")
    assert first != second
    raw = bytearray(base64.b64decode(first))
    for place in (0, 12, len(raw) - 1):
        changed = bytes(raw[:place]) + bytes([raw[place] ^ 1]) + bytes(raw[place + 1 :])
        assert seal.open(base64.b64encode(changed).decode(), "x") is None
    assert seal.open("no base64!", "x") is None
    assert seal.open("", "x") is None
