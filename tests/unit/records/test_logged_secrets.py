"""SEC-05: ten thousand secrets in whatever an error carries: none of them is in a line of the log."""

import base64
import io
import logging
import random
import string
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest
import structlog

from protocol.errors import Unavailable
from protocol.mask import MASK
from records.logs import Redact, configure, logger
from records.secrets import Secrets

SEED = 5
AT_ONCE = 5
ALPHABETS = (
    string.ascii_letters + string.digits,
    string.hexdigits,
    string.ascii_letters + string.digits + "-_+/=",
    string.ascii_letters + string.punctuation,
    string.printable,
    "äöüßéñ漢字🔑🗝" + string.ascii_letters,
)


@contextmanager
def written(redact: Redact) -> Iterator[io.StringIO]:
    """Standard error while the log is set up as a process does it."""
    root = logging.getLogger()
    handlers, level, stream = root.handlers[:], root.level, sys.stderr
    sys.stderr = io.StringIO()
    configure("tests", redact)
    try:
        yield sys.stderr
    finally:
        sys.stderr = stream
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()


def generated(chance: random.Random) -> str:
    alphabet = chance.choice(ALPHABETS)
    return "".join(chance.choices(alphabet, k=chance.randint(12, 64)))


def log_all(secret: str) -> None:
    """As code does that knows nothing of secrets."""
    basic = base64.b64encode(f"user:{secret}".encode()).decode()
    headers = {"Authorization": f"Bearer {secret}", "x-api-key": secret, "proxy": f"Basic {basic}"}
    url = httpx2.URL("https://user@host.example/v1", params={"key": secret, "page": "2"})
    log = logger("tests")
    try:
        try:
            raise KeyError(secret)
        except KeyError as inner:
            raise Unavailable("provider.failed", f"{url} with {headers!r} said {inner}") from inner
    except Unavailable as error:
        log.exception("it failed", headers=headers, url=str(url), path=f"/a/{quote(secret)}/b")
        logging.getLogger("somebody.else").error("caught %r of %s", error, [secret.encode()])
    body = {"deep": [{"er": {"token": secret}}]}
    log.warning(
        f"asked with {secret!r}", body=body, encoded=basic, digest=secret.encode().hex(), odd="\ud800"
    )


def spellings(secret: str) -> list[str]:
    data = secret.encode()
    whole = len(data) // 3 * 4
    return [
        secret,
        repr(secret)[1:-1],
        quote(secret),
        quote(secret, safe=""),
        data.hex(),
        base64.b64encode(data).decode()[:whole],
        base64.b64encode(f"user:{secret}".encode()).decode()[8 : (5 + len(data)) // 3 * 4],
    ]


@pytest.mark.slow
def test_none_of_ten_thousand_secrets_is_in_the_log(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    for _ in range(10_000 // AT_ONCE):
        secrets = Secrets(tmp_path, {})
        made = [generated(chance) for _ in range(AT_ONCE)]
        for secret in made:
            secrets.mask(secret)
        with written(secrets.redact) as log:
            for secret in made:
                log_all(secret)
        text = log.getvalue()
        assert text.count(MASK) > 10 * AT_ONCE
        assert "Logging error" not in text
        assert [(secret, one) for secret in made for one in spellings(secret) if one in text] == []


def test_a_line_that_cannot_be_written_as_json_is_written_and_masked(tmp_path: Path) -> None:
    secrets = Secrets(tmp_path, {})
    secrets.mask("s3cret-value")
    with written(secrets.redact) as log:
        logger("tests").error("s3cret-value", half="\ud800", large=2**70)
    assert MASK in log.getvalue()
    assert "s3cret-value" not in log.getvalue()
