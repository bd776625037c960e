"""Masks: a secret is taken out of a text in every spelling of it."""

import base64
import html
import json
from urllib.parse import quote, quote_plus

import pytest

from protocol.mask import MASK, Mask, Masking

SECRETS = (
    "sk-live-0123456789abcdef",
    "p\"ss\\wo\\\\rd's",
    "with space&plus+=/?#%",
    "two\nlines\tand\x07bell",
    "schlüssel-🔑-密钥",
    "\\\\\\\\",
    "half\udc80pair",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_every_spelling_is_masked(secret: str) -> None:
    data = secret.encode(errors="surrogatepass")
    spellings = [
        secret,
        json.dumps(secret)[1:-1],
        json.dumps(json.dumps(secret))[3:-3],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        json.dumps(repr(secret))[2:-2],
        repr(data)[2:-1],
        quote(data, safe=""),
        quote(data).lower(),
        quote_plus(data),
        html.escape(secret),
        data.hex(),
        data.hex().upper(),
    ]
    mask = Mask(secret)
    for spelling in spellings:
        assert mask.out_of(f"before {spelling} after") == f"before {MASK} after", spelling
    for around in (b"", b"u:", b"me:", b"user:"):
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert MASK in mask.out_of(encode(around + data + b" and more").decode())


def test_what_is_near_a_secret_stays() -> None:
    assert Mask("sk-live-0123456789abcdef").out_of("SK-LIVE-0123456789ABCDEF") == "SK-LIVE-0123456789ABCDEF"
    assert Mask("a b c d e f").out_of("a bc d e f") == "a bc d e f"
    assert Mask("\\" * 8).out_of("\\" * 7 + "x" * 10_000) == "\\" * 7 + "x" * 10_000


@pytest.mark.parametrize("size", range(1, 12))
def test_a_value_that_lies_across_pieces_is_masked(size: int) -> None:
    text = "my key is sk-sk-0123456789, sk-sk-012345678 is not, and sk-sk-0123456789"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    masking = Masking(["sk-sk-0123456789"])
    told = "".join([*(masking.piece(piece) for piece in pieces), masking.rest()])
    assert told == f"my key is {MASK}, sk-sk-012345678 is not, and {MASK}"
