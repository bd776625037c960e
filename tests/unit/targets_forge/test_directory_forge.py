"""The forge in a directory does what every forge does."""

from tests.conformance.forge_suite import ForgeSuite


class TestDirectoryForge(ForgeSuite):
    """With the `world` of this folder."""
