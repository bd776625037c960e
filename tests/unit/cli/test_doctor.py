"""What the doctor finds, without a machine to look at."""

from pathlib import Path

import pytest

from cli.doctor import deployment, machine
from cli.doctor.check import Check
from cli.home import Home
from protocol.config import Config
from protocol.config_text import parse_config


def states(checks: list[Check]) -> dict[str, str]:
    return {check.name: check.state for check in checks}


def look(home: Home, config: Config) -> list[Check]:
    return list(deployment.look(home, config, home.root, None))


def test_a_directory_that_is_not_there_yet_is_no_failure(tmp_path: Path) -> None:
    assert states(look(Home(tmp_path / "none"), Config())) == {"data directory": "weak"}


def test_secrets_that_others_can_read_are_named_with_the_way_to_close_them(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "admin.key").touch(0o640)
    (tmp_path / "pepper").touch(0o600)
    found = {check.name: check for check in look(Home(tmp_path), Config())}
    assert found["data directory"].mend == f"chmod 700 {tmp_path}"
    assert found["admin.key"].mend == f"chmod 600 {tmp_path / 'admin.key'}"
    assert found["pepper"].state == "good"


def test_a_reference_without_a_secret_is_missing(tmp_path: Path) -> None:
    config = parse_config(
        """
        [forges.forge]
        kind = "gitea"
        url = "http://127.0.0.1:3000"
        tokenRef = { kind = "file", name = "forge.token" }
        """
    )
    assert states(look(Home(tmp_path), config))["token of forge"] == "missing"
    (tmp_path / "forge.token").touch(0o600)
    (tmp_path / "forge.token").write_text("secret-token")
    found = {check.name: check for check in look(Home(tmp_path), config)}
    assert found["token of forge"].state == "good"
    assert not any("secret-token" in check.found for check in found.values())


def test_a_configuration_that_does_not_parse_is_missing_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "rhone.toml").write_text("[nonsense]\n")
    _, _, check = deployment.read_config(Home(tmp_path), tmp_path / "rhone.toml")
    assert (check.state, "line 1: nonsense: unknown key" in check.found) == ("missing", True)


def test_a_model_whose_script_is_away_is_missing(tmp_path: Path) -> None:
    config = parse_config('[providers.x]\nprotocol = "scripted"\nmodels = ["m"]\nscript = "away.toml"\n')
    assert states(look(Home(tmp_path), config))["models"] == "missing"


def test_the_image_of_an_mcp_server_that_is_a_program_is_looked_for() -> None:
    assert deployment.images(Config()) == {"default"}
    config = parse_config('[mcp_servers.notes]\nstdio = { command = ["notes"] }\n')
    assert deployment.images(config) == {"default", "mcp"}


@pytest.mark.parametrize(
    ("version", "state"),
    [("1.1.5+ds1", "weak"), ("1.2.7", "weak"), ("1.2.8", "good"), ("1.4.0-rc.3", "good")],
)
def test_a_runc_with_known_escapes_is_weak(version: str, state: str) -> None:
    assert [check.state for check in machine.runc(version)] == [state]


def test_an_engine_without_seccomp_makes_no_box() -> None:
    limits = {"MemoryLimit": True, "PidsLimit": False, "CpuCfsQuota": True}
    checks = list(machine.confinement({"SecurityOptions": None, **limits}))
    assert [(check.name, check.state) for check in checks] == [
        ("seccomp", "missing"),
        ("limits of boxes", "weak"),
    ]
    assert checks[1].found == "no limit of processes"
