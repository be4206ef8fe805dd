"""The warehouse process loads nothing of the other zones and does not start where something is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from p2d.main.warehouse import build
from p2d.main.warehouse_disclosure import open_disclosure
from p2d.model.errors import Misconfigured
from p2d.settings.file import read_settings
from p2d.settings.warehouse import Disclosure, WarehouseSettings
from p2d.testing.app_client import AppClient
from p2d.testing.installation import ArchiveAddress, Installation, install

FORBIDDEN = ("p2d.pacs", "p2d.identity", "p2d.deid", "p2d.model.identified", "pynetdicom")


@pytest.fixture
def made(tmp_path: Path) -> Installation:
    return install(tmp_path / "site", ArchiveAddress(port=11112, called_ae_title="ARCHIVE"))


def settings_of(made: Installation) -> WarehouseSettings:
    return read_settings(made.settings("warehouse"), WarehouseSettings)


def test_the_process_has_loaded_nothing_of_the_hospital_zone(made: Installation) -> None:
    probe = (
        "import sys; from pathlib import Path; from p2d.settings.file import read_settings\n"
        "from p2d.settings.warehouse import Disclosure, WarehouseSettings\n"
        "from p2d.main.warehouse import build\n"
        "app = build(read_settings(Path(sys.argv[1]), WarehouseSettings)); app.openapi()\n"
        "print(*sorted(name for name in sys.modules if name.startswith(('p2d.', 'pynetdicom'))))"
    )

    answer = subprocess.run(
        [sys.executable, "-c", probe, str(made.settings("warehouse"))],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "default"},
    )

    loaded = answer.stdout.split()
    assert "p2d.warehouse.duckdb.engine" in loaded
    assert [name for name in loaded if name.startswith(FORBIDDEN)] == []


def test_the_application_answers_and_its_files_are_private(made: Installation) -> None:
    app = build(settings_of(made))
    client = AppClient(app)
    secret = {"Authorization": f"Bearer {made.secret('researcher')}"}

    answers = [client.get("/health"), client.get("/attributes", headers=secret)]

    assert [answer.status_code for answer in answers] == [200, 200]
    app.state.research.warehouse.close()
    database = settings_of(made).warehouse.database
    assert database is not None
    assert [path.stat().st_mode & 0o077 for path in database.parent.glob("warehouse.duckdb*")] == [0]


def test_a_shared_secret_stops_the_start(made: Installation) -> None:
    settings = settings_of(made)
    store = settings.warehouse.model_copy(update={"researcher_secret": settings.warehouse.loader_secret})

    with pytest.raises(Misconfigured, match="share one secret"):
        build(settings.model_copy(update={"warehouse": store}))


def test_a_weak_secret_stops_the_start(made: Installation) -> None:
    settings = settings_of(made)
    settings.warehouse.loader_secret.write_text("password")

    with pytest.raises(Misconfigured, match="weak"):
        build(settings)


def test_a_key_that_others_may_read_stops_the_start(made: Installation) -> None:
    settings = settings_of(made)
    settings.warehouse.assertion_private_key.chmod(0o640)

    with pytest.raises(Misconfigured, match="open to others"):
        build(settings)


def test_a_missing_key_stops_the_start(made: Installation) -> None:
    settings = settings_of(made)
    settings.warehouse.assertion_private_key.unlink()

    with pytest.raises(Misconfigured, match="assertion_private_key"):
        build(settings)


def test_researchers_see_shielded_numbers_unless_the_settings_say_otherwise(made: Installation) -> None:
    settings = settings_of(made)
    folder = settings.warehouse.state_dir
    everything = open_disclosure(settings)
    safe = settings.model_copy(update={"disclosure": Disclosure()})

    first, second = open_disclosure(safe), open_disclosure(safe)

    assert everything is None
    assert first is not None
    assert second is not None
    assert first.is_for("researcher")
    assert not first.is_for("approved")
    assert first.shield.secret == second.shield.secret
    assert (folder / "noise.secret").stat().st_mode & 0o777 == 0o400


def test_a_weak_noise_secret_stops_the_start(made: Installation, tmp_path: Path) -> None:
    secret = tmp_path / "noise"
    secret.write_text("password")
    secret.chmod(0o600)
    settings = settings_of(made).model_copy(update={"disclosure": Disclosure(noise_secret=secret)})

    with pytest.raises(Misconfigured, match="noise_secret"):
        open_disclosure(settings)
