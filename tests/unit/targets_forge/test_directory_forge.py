"""The forge in a directory does what every forge does."""

import pytest

from tests.conformance.forge_suite import ForgeSuite

pytestmark = pytest.mark.slow


class TestDirectoryForge(ForgeSuite):
    """With the `world` of this folder."""
