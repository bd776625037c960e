"""The gateway's settings: read once from the environment, in main."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`data` holds records and keys; `auth_mode` beats the file's; port 0 takes any free one."""

    model_config = SettingsConfigDict(env_prefix="RHONE_", frozen=True, extra="ignore")

    data: Path
    config: Path | None = None
    database_url: str | None = None
    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    auth_mode: Literal["required", "optional", "disabled"] | None = None
    hints_dir: Path | None = None
    drain_notice_s: float = Field(default=0.3, ge=0)
    drain_s: float = Field(default=10.0, gt=0)

    @property
    def records_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'rhone.db'}"
