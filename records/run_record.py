"""A run as the records keep it: what the API shows, and what the ones who carry it out need."""

from protocol.ids import PrincipalId
from protocol.noun import Moment, Noun
from protocol.principal import Tenant
from protocol.run import TERMINAL, Run, RunRequest


class RunRecord(Noun):
    """`starting` until its workflow was begun; the API shows that as `queued`."""

    run: Run
    tenant: Tenant
    principal_id: PrincipalId
    request: RunRequest
    instructions: str | None
    stateful: bool
    starting: bool
    inbox_last: int
    inbox_heard: int
    waited_ms: int
    waiting_since: Moment | None

    @property
    def ended(self) -> bool:
        return self.run.status in TERMINAL

    @property
    def history(self) -> str:
        """Which history its blocks belong to: the session's, or its own where it is stateless."""
        return self.run.session_id if self.stateful else self.run.id
