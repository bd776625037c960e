"""What others need to know of the workflows: names, ids, queues, and how one is woken."""

from protocol.ids import RunId

RUN_WORKFLOW = "run"
LOOK_WORKFLOW = "look"
WAKE = "wake"
WORKER_QUEUE = "rhone"
"""Workflows, and every activity that needs no box."""
DEPLOYMENT = "rhone"
"""Under this name Temporal keeps the versions of the workers apart, where they have any."""


def workflow_id(run_id: RunId) -> str:
    """One workflow per run, id = run id."""
    return run_id


def host_queue(host: str) -> str:
    """The queue of one Docker host; any worker beside that engine polls it."""
    return host if host.startswith("host-") else f"host-{host}"


def holder_queue(holder: str) -> str:
    """The queue of one worker process: for what goes on in a session that it has open."""
    return f"holder-{holder}"
