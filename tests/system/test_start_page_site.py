"""From the operator's link to a real image: browser, all three processes and an archive."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from p2d.testing.browser import chromium, is_painted
from p2d.testing.hospital import generate
from p2d.testing.site import Site, hospital_archive, running_site
from p2d.warehouse.query.examples import PAPER

pytestmark = pytest.mark.system


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    hospital = generate(patients=12, seed=5, max_images=60)
    with (
        hospital_archive(tmp_path / "archive", patients=12, seed=5, max_images=60) as address,
        running_site(tmp_path, hospital, address) as running,
    ):
        ended = running.extract("all", "basic")
        assert ended.returncode == 0, ended.stdout + ended.stderr
        yield running


def test_the_papers_cohort_leads_to_a_painted_image(site: Site) -> None:
    origin, secret = site.installation.url("warehouse"), site.installation.secret("operator")
    expected = sorted(str(site.truth.patient(patient)) for patient in site.hospital.cohort())
    answer = httpx.post(
        f"{origin}/page-tokens",
        json={"user": "rita", "query": PAPER},
        headers={"Authorization": f"Bearer {secret}"},
        trust_env=False,
    )

    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"{origin}{answer.json()['path']}")
        listed = page.locator("tbody th").all_inner_texts()
        page.get_by_role("link", name=expected[0]).click()
        thorax = page.get_by_role("region").filter(has=page.get_by_role("heading", name="thorax"))
        item = thorax.get_by_role("listitem").filter(has_text="CT").first
        item.get_by_role("link", name="Series").click()
        image = page.get_by_role("img", name="Middle image of the series")
        image.wait_for()
        painted = is_painted(image)
        text = page.content()

    assert listed == expected
    assert painted
    assert secret not in text
