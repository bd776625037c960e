"""A box and the gate: what was approved is what is run, and nothing in the box reaches the gate itself."""

import asyncio
import json
import os
import socket
from contextlib import closing

import pytest

from protocol.digest import digest_bytes
from records.decisions import Decided
from tests.stack import Stack, docker, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

DEV = {"kind": "workspace", "name": "dev"}
ASKING = [{"kind": "tool", "name": "bash", "approval": "ask"}, {"kind": "tool", "name": "write_file"}]
PUT = "import sys; open('/tmp/asked', 'w').write(sys.argv[1])"
TABLES = {"workspaces": "[workspaces]\npool_size = 1\n"}

LOOK = r"""
python3 - <<'END'
import json, os, socket
asked = json.loads(open("/tmp/asked").read())
os.remove("/tmp/asked")
found = {"reached": [], "secrets": [], "sockets": [], "names": []}
for host, port in asked["addresses"]:
    try:
        socket.create_connection((host, port), 1).close()
        found["reached"].append([host, port])
    except OSError:
        pass
for name in asked["names"]:
    try:
        socket.getaddrinfo(name, 80)
        found["names"].append(name)
    except OSError:
        pass
for pid in os.listdir("/proc"):
    try:
        held = open(f"/proc/{pid}/environ", "rb").read() + open(f"/proc/{pid}/cmdline", "rb").read()
    except OSError:
        continue
    found["secrets"] += [word for word in asked["words"] if word.encode() in held]
for top, folders, files in os.walk("/"):
    folders[:] = [one for one in folders if os.path.join(top, one) not in ("/proc", "/sys", "/dev")]
    for name in files:
        path = os.path.join(top, name)
        try:
            kind = os.stat(path, follow_symlinks=False).st_mode & 0o170000
            if kind == 0o140000:
                found["sockets"].append(path)
            if kind == 0o100000 and path.split("/")[1] in ("run", "etc", "tmp", "home", "root", "var"):
                held = open(path, "rb").read(1 << 20)
                found["secrets"] += [path for word in asked["words"] if word.encode() in held]
        except OSError:
            pass
print("FOUND" + json.dumps(found))
END
"""

SCRIPT = f"""
[[scenarios]]
when = "^run a script"
[[scenarios.turns]]
tool_calls = [{{ name = "write_file", arguments = {{ path = "run.sh", content = "echo first" }} }}]
[[scenarios.turns]]
tool_calls = [{{ name = "bash", arguments = {{ command = "bash run.sh" }} }}]
[[scenarios.turns]]
text = "{{last_result}}"

[[scenarios]]
when = "^reach"
[[scenarios.turns]]
tool_calls = [{{ name = "bash", arguments = {{ command = '''{LOOK}''' }} }}]
[[scenarios.turns]]
text = "{{last_result}}"
"""


@pytest.mark.parametrize("changed", [False, True])
async def test_a_script_that_was_approved_by_its_path_is_run_as_it_was_or_not_at_all(
    stack: Stack, changed: bool
) -> None:
    """APR-09."""
    run = await stack.create("run a script", target=DEV, capabilities=ASKING)
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    assert checkpoint.envelope is not None
    assert checkpoint.envelope.files == {"run.sh": digest_bytes(b"echo first")}
    assert f"{digest_bytes(b'echo first')} run.sh" in checkpoint.rendered
    if changed:
        docker("exec", await stack.box(run), "sh", "-c", "echo 'echo second' > /workspace/run.sh")
    assert isinstance(await stack.decide(checkpoint, "approve"), Decided)
    told = await stack.ended(run)
    done = of_type(told, "tool_execution.completed")[-1]
    outcome = ("failed", True) if changed else ("succeeded", False)
    assert (done["outcome"], done["is_error"]) == outcome
    said = told[-1]["output_text"]
    assert ("run.sh changed after the approval" in said) is changed
    assert ("first" in said, "second" in said) == (not changed, False)


async def test_a_process_in_a_box_reaches_no_gate(stack: Stack) -> None:
    """APR-07: no address of this machine answers, no name resolves, no socket lies about, and no credential:
    what is not granted to it in this run it cannot ask anybody for."""
    with closing(socket.create_server(("0.0.0.0", 0))) as listener:
        port = listener.getsockname()[1]
        ours = docker(
            "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}"
        ).split()
        hosts = ["127.0.0.1", *ours, socket.gethostbyname(socket.gethostname()), "169.254.169.254", "1.1.1.1"]
        engine = int(stack.server.address.rpartition(":")[2])
        signing = (stack.data / "signing.key").read_text().splitlines()[1]
        asked = {
            "addresses": [[host, number] for host in hosts for number in (port, engine, 80, 443, 2375)],
            "names": ["localhost.localdomain.", "host.docker.internal", "gateway", "example.com"],
            "words": ["rhone_sk_", "vai_sk_", "rhone_rt_", "RHONE_DATA", signing],
        }
        assert await asyncio.to_thread(_answers, port)
        run = await stack.create("reach", target=DEV, capabilities=ASKING)
        checkpoint = await stack.checkpoint(run)
        docker("exec", await stack.box(run), "python3", "-c", PUT, json.dumps(asked))
        assert isinstance(await stack.decide(checkpoint, "approve"), Decided)
        said = (await stack.ended(run))[-1]["output_text"]
    found = json.loads(said.partition("FOUND")[2])
    assert found == {"reached": [], "secrets": [], "sockets": [], "names": []}, os.linesep.join(found)


def _answers(port: int) -> bool:
    with closing(socket.create_connection(("127.0.0.1", port), 2)):
        return True
