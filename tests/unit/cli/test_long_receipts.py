"""Ten thousand records (RCP-03), by the verifier alone, where there is no network, in little memory."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli import rhone_verify
from protocol.digest import canonical
from tests.receipts import SIGNER, Chain

pytestmark = pytest.mark.slow

RECORDS = 10_000
PROCESSOR_S = 30.0
MEMORY_KIB = 200 * 1024


def test_ten_thousand_records_are_verified_in_a_namespace_without_a_network(tmp_path: Path) -> None:
    chain = Chain()
    number = 0
    while len(chain.records) < RECORDS - 1:
        number += 1
        chain.call(number)
    chain.end()
    (tmp_path / "receipt.json").write_bytes(canonical(chain.bundle()))
    key = base64.b64encode(SIGNER.public_key).decode()
    (tmp_path / "keys.json").write_text(json.dumps({"keys": {SIGNER.key_id: key}}))
    shutil.copy(rhone_verify.__file__, tmp_path / "verifier.py")
    argv = ["unshare", "-rn", sys.executable, "verifier.py", "receipt.json", "--key", "keys.json"]
    with subprocess.Popen(argv, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert (process.returncode, len(chain.records) >= RECORDS) == (0, True)
    assert said.splitlines()[-1].startswith(f"holds: {len(chain.records)} records")
    assert used.ru_utime + used.ru_stime < PROCESSOR_S
    assert used.ru_maxrss < MEMORY_KIB
