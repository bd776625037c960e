"""References to secrets: the value is looked up at the moment of use and never stored."""

from typing import Literal

from protocol.noun import Noun


class SecretRef(Noun):
    """Where a secret lies. `file` names are relative to the data directory unless absolute."""

    kind: Literal["env", "file", "keyring", "vault"]
    name: str
