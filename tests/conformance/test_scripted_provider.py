"""The scripted provider keeps the provider's contract."""

import pytest

from providers.script import parse_script
from providers.scripted import ScriptedProvider
from tests.conformance.provider_suite import SCRIPT, ProviderSuite


class TestScriptedProvider(ProviderSuite):
    @pytest.fixture
    def provider(self) -> ScriptedProvider:
        return ScriptedProvider(parse_script(SCRIPT))
