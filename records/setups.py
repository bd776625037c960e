"""Set-ups as the records keep them: what a digest of all that they depend on has made, within a project."""

from sqlalchemy import Connection, select

from protocol.ids import RunId
from protocol.noun import Noun
from protocol.principal import Tenant
from records.columns import owned_by
from records.conflicts import insert_unless_there
from records.setup_tables import setups
from records.tx import Tx


class NewSetup(Noun):
    """`digest` names the blob of what the run `run_id` made."""

    key: str
    run_id: RunId
    digest: str
    size: int


def keep(tx: Tx, tenant: Tenant, new: NewSetup) -> bool:
    """The first one stays."""
    row = {**tenant.model_dump(), **new.model_dump(), "created_at": tx.now}
    return insert_unless_there(tx.connection, setups, row)


def get(connection: Connection, tenant: Tenant, key: str) -> str | None:
    """The blob of what was made."""
    query = select(setups.c.digest).where(owned_by(tenant, setups), setups.c.key == key)
    return connection.execute(query).scalar()
