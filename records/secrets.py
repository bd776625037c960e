"""Secrets: looked up by reference at the moment of use, and masked by value in everything that is written."""

from collections.abc import Mapping
from pathlib import Path

from protocol.errors import InvalidRequest
from protocol.mask import SHORTEST, Mask
from protocol.secret import SecretRef


class Secrets:
    """`environment` is handed in by the process: nothing here reads it by itself."""

    def __init__(self, data: Path, environment: Mapping[str, str]) -> None:
        self._data = data
        self._environment = environment
        self._masks: dict[str, Mask] = {}

    def resolve(self, reference: SecretRef) -> str:
        """The secret's value; from now on `redact` masks it."""
        match reference.kind:
            case "env":
                value = self._environment.get(reference.name, "")
            case "file":
                value = self._file(reference.name)
            case "keyring" | "vault":
                message = f"secrets of kind {reference.kind!r} are not supported yet; use 'env' or 'file'"
                raise InvalidRequest("auth.secret_unsupported", message)
        if not value:
            raise InvalidRequest(
                "auth.secret_missing", f"there is no secret {reference.kind}:{reference.name}"
            )
        self.mask(value)
        return value

    def mask(self, value: str) -> None:
        """Have a value masked that was not resolved here."""
        if len(value) >= SHORTEST and value not in self._masks:
            masks = {**self._masks, value: Mask(value)}
            self._masks = dict(sorted(masks.items(), key=lambda one: len(one[0]), reverse=True))

    def redact(self, text: str) -> str:
        for mask in self._masks.values():
            text = mask.out_of(text)
        return text

    def _file(self, name: str) -> str:
        try:
            return (self._data / name).read_text().strip()
        except OSError:
            return ""
        except UnicodeDecodeError as error:
            raise InvalidRequest("auth.secret_missing", f"the secret file {name} is not text") from error
