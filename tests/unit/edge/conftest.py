import pytest

from billing.settings import Settings


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("TENANT_CLAIM", "tenant_id")
    monkeypatch.setenv("ADMIN_SCOPE", "billing:admin")
    return Settings()
