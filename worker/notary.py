"""The notary: signs the chains of runs that have ended, and the log of each project over them."""

import base64
from collections.abc import Sequence

from capabilities.receipts import Tree
from capabilities.signing import Signer
from protocol.digest import canonical
from protocol.ids import ProjectId, RunId
from protocol.noun import rfc3339
from protocol.receipt import LogHead, RunHead, leaf_hash
from records import receipt_heads
from records.database import Database
from records.receipt_heads import Leaf
from records.tx import Tx
from records.writer import Writer

MOST = 500
LOOK_EVERY_S = 5.0


class Notary:
    """Runs in every worker: what one has signed, another finds signed."""

    def __init__(self, database: Database, writer: Writer, signer: Signer) -> None:
        self._database = database
        self._writer = writer
        self._signer = signer
        self._introduced = False
        self._trees: dict[ProjectId, Tree] = {}

    async def turn(self) -> float:
        return 0 if await self.sign() == MOST else LOOK_EVERY_S

    async def introduce(self) -> None:
        """The public key is kept, so that whoever holds a receipt can be given it."""
        public = base64.b64encode(self._signer.public_key).decode()
        await self._writer.commit(lambda tx: receipt_heads.keep_key(tx, self._signer.key_id, public))
        self._introduced = True

    async def sign(self) -> int:
        """How many chains were found without a signature, and have one now."""
        if not self._introduced:
            await self.introduce()
        due = await self._database.read(lambda connection: receipt_heads.to_sign(connection, MOST))
        for project_id in sorted({project for _, project in due}):
            mine = [run_id for run_id, project in due if project == project_id]
            self._trees[project_id] = await self._writer.commit(
                lambda tx, p=project_id, m=mine: self._seal(tx, p, m), runs=mine
            )
        return len(due)

    def _seal(self, tx: Tx, project_id: ProjectId, run_ids: Sequence[RunId]) -> Tree:
        """The project's tree with these ends in it; it is known from then on when this is committed."""
        at, added = rfc3339(tx.now), list[Leaf]()
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
        tree = self._trees.get(project_id, Tree())
        if receipt_heads.lock_log(tx, project_id) < tree.size:
            tree = Tree()  # the log is not the one that we knew
        for leaf in receipt_heads.grow(tx, project_id, added, tree.size):
            tree = tree.grown(leaf_hash(*leaf))
        head = LogHead(
            key_id=self._signer.key_id,
            project_id=project_id,
            size=tree.size,
            root="sha256:" + tree.root().hex(),
            at=at,
        )
        receipt_heads.keep_log_head(tx, head, self._signer.sign(canonical(head)))
        return tree
