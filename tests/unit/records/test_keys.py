"""API keys as text, and where their pepper comes from."""

import re
from pathlib import Path

import pytest

from records.keys import mint, pepper_in, read


def test_a_minted_key_reads_as_what_was_kept_of_it() -> None:
    minted = mint(b"pepper")
    assert re.fullmatch(r"rhone_sk_[0-9a-z]{26}_[A-Za-z0-9_-]{43}", minted.token)
    assert read(minted.token, b"pepper") == (minted.key_id, minted.secret_hash)
    assert read(minted.token.replace("rhone_", "vai_", 1), b"pepper") == (minted.key_id, minted.secret_hash)
    other = read(minted.token, b"other pepper")
    assert other is not None
    assert other.secret_hash != minted.secret_hash
    assert minted.token[-43:] not in minted.secret_hash


@pytest.mark.parametrize(
    "text",
    ["", "rhone_sk_", "' OR 1=1 --", "rhone_sk_" + "i" * 26 + "_" + "a" * 43, "\x00" * 79, "rhone_rt_x"],
)
def test_what_does_not_look_like_a_key_is_none(text: str) -> None:
    assert read(text, b"pepper") is None
    token = mint(b"pepper").token
    assert read(token + text + "!", b"pepper") is None


def test_the_pepper_is_made_once_and_is_ours_alone(tmp_path: Path) -> None:
    first = pepper_in(tmp_path)
    assert len(first) == 64
    assert pepper_in(tmp_path) == first
    assert (tmp_path / "pepper").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["pepper"]
