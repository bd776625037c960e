"""The walls of a box, as the probe inside it finds them."""

from typing import TypeGuard

from protocol.noun import JSON

CHECKS = (
    "agent_is_read_only",
    "becoming_root_is_refused",
    "first_process_is_hidden",
    "kernel_memory_is_masked",
    "kernel_settings_are_read_only",
    "memory_and_processes_are_limited",
    "mount_is_refused",
    "namespaces_are_refused",
    "no_bounding_capabilities",
    "no_devices",
    "no_effective_capabilities",
    "no_engine_socket",
    "no_inherited_capabilities",
    "no_new_privileges",
    "no_permitted_capabilities",
    "no_way_out",
    "not_the_root_group",
    "not_the_root_user",
    "only_the_loopback",
    "own_process_namespace",
    "root_is_read_only",
    "seccomp_filter",
    "spool_is_a_bounded_tmpfs",
    "system_files_are_read_only",
    "workspace_is_a_bounded_tmpfs",
)


def posture_of(found: object) -> dict[str, JSON]:
    """Each check with whether it held and what was found; raises ValueError for anything else."""
    if not _is_object(found) or sorted(found) != sorted(CHECKS):
        raise ValueError("not the checks that were asked for")
    checks: dict[str, JSON] = {}
    for name in CHECKS:
        match found[name]:
            case {"held": bool(held), "found": str(detail)}:
                checks[name] = {"held": held, "found": detail[:200]}
            case _:
                raise ValueError(f"{name} says neither yes nor no")
    return checks


def fallen(posture: dict[str, JSON]) -> tuple[str, ...]:
    """The walls that do not stand."""
    return tuple(
        name for name, check in posture.items() if not (isinstance(check, dict) and check.get("held") is True)
    )


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)
