from pathlib import Path

import pytest

from pullplan.settings import SettingInvalidError, read_settings


def test_nothing_need_be_set():
    settings = read_settings({"XDG_DATA_HOME": "/data"})
    assert settings.database_url is None
    assert settings.data_folder == Path("/data/pullplan")
    assert (settings.port, settings.time_zone) == (8000, "UTC")


def test_each_variable_reaches_its_setting():
    settings = read_settings(
        {
            "DATABASE_URL": "postgresql://x/y",
            "PULLPLAN_DATA": "/elsewhere",
            "PULLPLAN_PORT": "9000",
            "PULLPLAN_LEASE_SECONDS": "2.5",
            "PULLPLAN_STATEMENT_CACHE": "false",
            "PULLPLAN_TIME_ZONE": "America/Chicago",
        }
    )
    assert settings.database_url == "postgresql://x/y"
    assert settings.data_folder == Path("/elsewhere")
    assert settings.port == 9000
    assert settings.lease_seconds == 2.5
    assert settings.statement_cache is False
    assert settings.time_zone == "America/Chicago"


@pytest.mark.parametrize(
    "place", ["local", "local:3", "dask://cluster.example.com:8786", "dask://[::1]:8786"]
)
def test_where_to_compute_is_taken_as_it_is_written(place: str):
    assert read_settings({"XDG_DATA_HOME": "/data", "PULLPLAN_COMPUTE": place}).compute == place


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("PULLPLAN_PORT", "eighty"),
        ("PULLPLAN_PORT", "70000"),
        ("PULLPLAN_LEASE_SECONDS", "0"),
        ("PULLPLAN_LOG_LEVEL", "loud"),
        ("PULLPLAN_COMPUTE", "everywhere"),
        ("PULLPLAN_COMPUTE", "local:0"),
        ("PULLPLAN_COMPUTE", "local:two"),
        ("PULLPLAN_COMPUTE", "dask://cluster"),
        ("PULLPLAN_COMPUTE", "dask://cluster:70000"),
        ("PULLPLAN_COMPUTE", "tcp://cluster:8786"),
        ("PULLPLAN_REQUESTS_PER_MINUTE", "-1"),
        ("PULLPLAN_CORS_ORIGINS", "shop.example.com"),
        ("PULLPLAN_CORS_ORIGINS", "https://shop.example.com/cart"),
        ("PULLPLAN_TIME_ZONE", "Berlin"),
        ("PULLPLAN_TIME_ZONE", "../etc/passwd"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_its_variables_name(variable: str, text: str):
    with pytest.raises(SettingInvalidError, match=f"^{variable}: "):
        read_settings({"XDG_DATA_HOME": "/data", variable: text})
