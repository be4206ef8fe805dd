import pytest

from p2d.deid.pixels.layouts import CONFIRMATIONS, DeviceKey, Layouts
from p2d.model.header import Element
from p2d.pixels.box import Box

DEVICE = DeviceKey("Maker", "Model", "1.0", "600", "800", "RGB", "ORIGINAL\\PRIMARY")
BANNER = Box(8, 0, 160, 24)


def test_a_run_never_uses_what_it_learns() -> None:
    layouts = Layouts()

    for _ in range(CONFIRMATIONS):
        layouts.observe(DEVICE, [BANNER])

    assert layouts.boxes_of(DEVICE) == ()
    assert layouts.learned() == {DEVICE: (BANNER,)}


def test_a_box_seen_less_often_is_not_learned() -> None:
    layouts = Layouts()

    for _ in range(CONFIRMATIONS - 1):
        layouts.observe(DEVICE, [BANNER])

    assert layouts.learned() == {}


def test_boxes_that_differ_by_a_letter_are_one() -> None:
    layouts = Layouts()

    for shift in range(CONFIRMATIONS):
        layouts.observe(DEVICE, [Box(8, 1, 153 + shift, 23)])

    assert layouts.learned() == {DEVICE: (BANNER,)}


def test_what_was_learned_serves_the_next_run() -> None:
    layouts = Layouts({DEVICE: (BANNER,)})

    assert Layouts.from_json(layouts.to_json()).boxes_of(DEVICE) == (BANNER,)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"layouts": [{"device": {}, "boxes": []}]}'])
def test_a_file_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Layouts.from_json(text)


def test_the_key_is_read_from_the_header() -> None:
    elements = {
        "00080070": Element("00080070", "LO", ("Maker ",)),
        "00280010": Element("00280010", "US", (600,)),
    }

    assert DeviceKey.of(elements) == DeviceKey("Maker", "", "", "600", "", "", "")
