"""A planner finds the worst bearing, sees its history and replaces its item in at most six clicks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from assets.models import Asset, AssetType, Design, Item
from assets.selectors import current_installations
from assets.services import NewAsset, NewInstallation, create_assets, create_items, install_items
from tests.waiting import PATIENCE
from twins.models import Assessment

pytestmark = pytest.mark.full
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def browser() -> Iterator[Any]:
    if CHROMIUM is None or not (driver := shutil.which("chromedriver")):
        pytest.skip("no Chromium with its driver on this machine")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"):
        options.add_argument(flag)
    options.add_argument("--window-size=1400,1000")
    chromium = webdriver.Chrome(options=options, service=Service(driver))
    yield chromium
    chromium.quit()


def test_from_the_start_to_the_new_item(live_server_asgi: str, browser: Any) -> None:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.expected_conditions import element_to_be_clickable
    from selenium.webdriver.support.wait import WebDriverWait

    worst, spare = _bearings()
    client = Client()
    client.force_login(User.objects.create_superuser("planner"))
    browser.get(f"{live_server_asgi}/admin/login/")
    browser.add_cookie({"name": "sessionid", "value": client.cookies["sessionid"].value})
    browser.get(f"{live_server_asgi}/admin/")
    clicks = 0

    def click(how: str, what: str) -> None:
        nonlocal clicks
        element = WebDriverWait(browser, PATIENCE).until(element_to_be_clickable((how, what)))
        browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        element.click()
        clicks += 1

    def wait(met: Callable[[Any], Any]) -> None:
        WebDriverWait(browser, PATIENCE).until(met)

    click(By.LINK_TEXT, "Health, worst first")
    click(By.LINK_TEXT, "asset page")  # of the first row, which is the worst
    wait(lambda driver: "worn before" in driver.page_source)  # its history: the item before, and why it came out
    click(By.LINK_TEXT, "Replace the item")
    click(By.CSS_SELECTOR, ".select2-selection")
    click(By.XPATH, f"//li[contains(@class, 'select2-results__option') and text()='{spare}']")
    browser.find_element(By.NAME, "reason").send_keys("vibration")
    click(By.CSS_SELECTOR, "button[name=apply]")
    wait(lambda driver: "is installed at" in driver.page_source)
    assert clicks <= 6
    assert current_installations([worst.pk])[worst.pk].item == spare


def _bearings() -> tuple[Asset, Item]:
    """Two assessed bearings with an item each; the worse one had another before. And one item in stock."""
    kind = AssetType.objects.create(code="bearing", name="Rolling bearing")
    design = Design.objects.create(type=kind, code="B", name="Bearing 6316")
    rows = [NewAsset(tag=f"B{number}", name=f"Bearing {number}", level="part", design=design) for number in range(2)]
    good, worst = create_assets(rows=rows).values()
    before, first, second, spare = create_items(
        items=[Item(design=design, serial_number=f"S{number}") for number in range(4)]
    )
    day = [datetime(2026, 1, number, tzinfo=UTC) for number in range(1, 4)]
    install_items(
        installations=[
            NewInstallation(asset=worst, item=before, start=day[0], end=day[1], removal_reason="worn before"),
            NewInstallation(asset=worst, item=first, start=day[1]),
            NewInstallation(asset=good, item=second, start=day[1]),
        ]
    )
    for asset, health in ((good, 90), (worst, 7)):
        Assessment.objects.create(asset=asset, **_assessed(health))
    return worst, spare


def _assessed(health: float) -> dict[str, Any]:
    return {"health": health, "coverage": 1.0, "source": "ageing", "assessed_at": timezone.now()}
