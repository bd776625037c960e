"""What set-up and the look-up of its binaries read from the environment."""

from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

CHECKOUT = Path(__file__).resolve().parents[2]


class SetupSettings(BaseSettings):
    """The environment as set-up sees it."""

    model_config = SettingsConfigDict(env_prefix="RHONE_", frozen=True)

    data: Path = CHECKOUT / ".data"
    temporal_bin: Path | None = None
    search_path: str = Field(default="", validation_alias=AliasChoices("PATH"))
