"""The workspace container keeps the contract of a target."""

import pytest

from tests.conformance.target_suite import TargetSuite

pytestmark = pytest.mark.docker


class TestDockerTarget(TargetSuite):
    """The fixtures `host` and `spec` stand in the conftest beside."""
