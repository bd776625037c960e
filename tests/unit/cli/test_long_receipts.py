"""Ten thousand records (RCP-03), by the verifier alone, where there is no network, in little memory."""

import base64
import json
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
MEASURED = """
import json, re, runpy, sys, time
try:
    runpy.run_path("verifier.py", run_name="__main__")
finally:
    peak = re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())
    used = {"processor_s": time.process_time(), "memory_kib": int(peak[1])}
    print(json.dumps(used), file=sys.stderr)
"""
"""The kernel's own account of a child would begin with the memory of who started it."""


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
    argv = ["unshare", "-rn", sys.executable, "-c", MEASURED, "receipt.json", "--key", "keys.json"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, len(chain.records) >= RECORDS) == (0, True), done.stderr
    assert done.stdout.splitlines()[-1].startswith(f"holds: {len(chain.records)} records")
    used = json.loads(done.stderr.splitlines()[-1])
    assert used["processor_s"] < PROCESSOR_S
    assert used["memory_kib"] < MEMORY_KIB
