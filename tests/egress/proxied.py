"""A stack with the proxy's own process beside its workers, and a server outside that only it knows."""

import os
import socket
import sys

from tests.egress.upstream import Upstream
from tests.nursery import CHECKOUT
from tests.processes import Program, until
from tests.stack import Stack

HOST = socket.gethostname().lower()
"""A name of this machine that programs do not think their own."""


class Proxied(Stack):
    """Whoever starts proxies stops them with `stop_proxies`."""

    upstream: Upstream
    proxies: list[Program]

    async def start_proxy(self) -> Program:
        log = self.data / f"egress-{len(self.proxies)}.log"
        ours = {
            "RHONE_DATA": str(self.data),
            "RHONE_CONFIG": str(self.data / "rhone.toml"),
            "PYTHONPATH": str(CHECKOUT),
        }
        proxy = Program((sys.executable, "-m", "worker.egress.main"), log, os.environ | ours)
        self.proxies.append(proxy)
        ready = '"ready"'
        await until(lambda: proxy.ended or ready in log.read_text(), 60, "the proxy is not ready")
        assert not proxy.ended, log.read_text()
        return proxy

    def stop_proxies(self) -> None:
        for proxy in self.proxies:
            proxy.kill()


def outside(upstream: Upstream) -> str:
    """The `[egress]` of a stack: the server outside lies on this machine, under an authority of its own."""
    return f'[egress]\nallow_private = ["{HOST}:{upstream.port}"]\nca = "{upstream.ca}"\n'
