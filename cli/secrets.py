"""The secrets that a deployment is built on, made at its first start."""

from capabilities.signing import generate
from cli.home import Home, write_whole
from records import keys


def make_secrets(home: Home) -> bytes:
    """The pepper of the API keys, which is returned, and the key that signs snapshots."""
    pepper = keys.pepper_in(home.root)
    signing = home.root / "signing.key"
    if not signing.exists():
        write_whole(signing, generate().decode(), mode=0o600)
    return pepper
