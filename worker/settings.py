"""The worker's settings: read once from the environment, in main."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """`data` holds records, mirrors and keys; `cache` the binaries that set-up built."""

    model_config = SettingsConfigDict(env_prefix="RHONE_", frozen=True, extra="ignore")

    data: Path
    cache: Path | None = None
    config: Path | None = None
    database_url: str | None = None
    temporal_address: str = "127.0.0.1:7233"
    temporal_namespace: str = "default"
    docker_host: str = "unix:///var/run/docker.sock"
    worker_activities: int = Field(default=200, ge=1)
    worker_workflow_cache: int = Field(default=2_000, ge=10)
    worker_build_id: str | None = None
    sweep_seconds: float = Field(default=2.0, gt=0)
    reap_seconds: float = Field(default=10.0, gt=0)
    installation: str | None = None
    otlp_endpoint: str | None = None
    failpoints: Path | None = None
    forge_allow_file: bool = False

    @property
    def cache_dir(self) -> Path:
        return self.cache or self.data / "cache"

    @property
    def records_url(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'rhone.db'}"
