import pytest

from bartizan.guardrails.engine.personal_data import PersonalData
from bartizan.guardrails.pii import EntityConfig, PiiConfig
from bartizan.guardrails.pii_entities import ENTITIES


@pytest.fixture(scope="session")
def personal_data() -> PersonalData:
    """What the guardrail looks for when it is told nothing."""
    config = PiiConfig()
    return PersonalData(config.thresholds(), config.phone_regions)


@pytest.fixture(scope="session")
def everything() -> PersonalData:
    """All that can be looked for, down to the faintest."""
    entities = dict.fromkeys(ENTITIES, EntityConfig(threshold=0.0))
    return PersonalData(PiiConfig(entities=entities).thresholds(), ("US", "GB", "DE", "BR"))
