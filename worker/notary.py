"""The notary: signs the chains of runs that have ended, and the log of each project over them."""

import asyncio
import base64
from collections.abc import Sequence

from capabilities.receipts import root
from capabilities.signing import Signer
from protocol.digest import canonical
from protocol.errors import Fault
from protocol.ids import ProjectId, RunId
from protocol.noun import rfc3339
from protocol.receipt import LogHead, RunHead, leaf_hash
from records import receipt_heads
from records.database import Database
from records.logs import logger
from records.receipt_heads import Leaf
from records.tx import Tx
from records.writer import Writer

MOST = 500
SECONDS = 0.5

log = logger(__name__)


class Notary:
    """Runs in every worker: what one has signed, another finds signed."""

    def __init__(self, database: Database, writer: Writer, signer: Signer) -> None:
        self._database = database
        self._writer = writer
        self._signer = signer

    async def sign_for_ever(self) -> None:
        known = False
        while True:
            try:
                if not known:
                    await self.introduce()
                    known = True
                await self.sign()
            except Fault as fault:
                log.warning("receipts wait to be signed", reason=str(fault))
            await asyncio.sleep(SECONDS)

    async def introduce(self) -> None:
        """The public key is kept, so that whoever holds a receipt can be given it."""
        await self._writer.commit(self._introduce)

    async def sign(self) -> int:
        """How many chains were found without a signature, and have one now."""
        due = await self._database.read(lambda connection: receipt_heads.to_sign(connection, MOST))
        for project_id in sorted({project for _, project in due}):
            mine = [run_id for run_id, project in due if project == project_id]
            await self._writer.commit(lambda tx, p=project_id, m=mine: self._seal(tx, p, m), runs=mine)
        return len(due)

    def _introduce(self, tx: Tx) -> None:
        public = base64.b64encode(self._signer.public_key).decode()
        receipt_heads.keep_key(tx, self._signer.key_id, public)

    def _seal(self, tx: Tx, project_id: ProjectId, run_ids: Sequence[RunId]) -> None:
        at, added = rfc3339(tx.now), list[Leaf]()
        self._introduce(tx)
        for run_id in run_ids:
            ordinal, end = receipt_heads.chain_end(tx, run_id)
            head = RunHead(
                key_id=self._signer.key_id,
                project_id=project_id,
                run_id=run_id,
                ordinal=ordinal,
                hash=end,
                at=at,
            )
            receipt_heads.keep_run_head(tx, head, self._signer.sign(canonical(head)))
            added.append(Leaf(run_id, ordinal, end))
        grown = receipt_heads.grow(tx, project_id, added)
        head = LogHead(
            key_id=self._signer.key_id,
            project_id=project_id,
            size=len(grown),
            root="sha256:" + root([leaf_hash(*leaf) for leaf in grown]).hex(),
            at=at,
        )
        receipt_heads.keep_log_head(tx, head, self._signer.sign(canonical(head)))
