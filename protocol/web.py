"""The words of `rhone.toml` about the web: `[web]` and `[search]`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.noun import Noun
from protocol.secret import SecretRef


class WebEntry(Noun):
    """`allow_private` names `host:port` pairs that `web_fetch` may reach wherever they lie; for tests."""

    allow_private: tuple[Annotated[str, Field(pattern=r"^[^\s/@]+:\d{1,5}$")], ...] = ()


class SearchEntry(Noun):
    """Who answers `web_search`: a public service with its key, or a local folder."""

    provider: Literal["tavily", "exa", "firecrawl", "folder"]
    apiKeyRef: SecretRef | None = None  # noqa: N815  the file's own spelling
    url: Annotated[str, Field(pattern=r"^https?://[^\s]+$")] | None = None
    folder: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _fits(self) -> "SearchEntry":
        local = self.provider == "folder"
        if local != (self.folder is not None):
            raise ValueError('`folder` goes with the provider "folder", and only with it')
        if local == (self.apiKeyRef is not None):
            raise ValueError("`apiKeyRef` goes with a service, and every service needs it")
        if local and self.url is not None:
            raise ValueError("`url` goes with a service, not with a folder")
        return self
