from p2d.deid.profile.options import Mode, Option
from p2d.deid.profile.profile import PRESETS, Profile
from p2d.deid.profile.statement import own_texts, statement
from p2d.deid.standard.codes import MEANINGS


def codes(profile: Profile, *, true_dates: bool = False, masked: bool = False) -> list[str]:
    elements = statement(profile, true_dates=true_dates, masked=masked)
    return [one.text for path, one in elements.items() if path.endswith(".00080100")]


def modified(profile: Profile, *, true_dates: bool = False) -> str:
    return statement(profile, true_dates=true_dates, masked=False)["00280303"].text


def test_the_codes_are_those_of_the_options_in_order() -> None:
    assert codes(PRESETS["basic"]) == ["113100"]
    assert codes(PRESETS["research"]) == [
        "113100",
        "113103",
        "113104",
        "113105",
        "113107",
        "113108",
        "113111",
    ]
    assert codes(PRESETS["strict"]) == ["113100", "113107"]


def test_clean_pixel_data_is_claimed_where_pixels_were_masked() -> None:
    assert "113101" in codes(PRESETS["research"], masked=True)
    assert "113101" not in codes(PRESETS["basic"], masked=True)


def test_dates_are_said_to_be_as_they_are() -> None:
    full = Profile("full", Mode.RESEARCH, frozenset({Option.FULL_DATES}))

    assert [modified(PRESETS["research"]), modified(PRESETS["basic"]), modified(full)] == [
        "MODIFIED",
        "REMOVED",
        "UNMODIFIED",
    ]
    assert modified(PRESETS["research"], true_dates=True) == "UNMODIFIED"
    assert "113106" in codes(PRESETS["research"], true_dates=True)
    assert "113107" not in codes(PRESETS["research"], true_dates=True)


def test_meanings_are_those_of_cid_7050() -> None:
    every = Profile("every", Mode.RESEARCH, frozenset(Option) - {Option.FULL_DATES})
    elements = statement(every, true_dates=False, masked=True)
    items = {path.rpartition(".")[0] for path in elements if "." in path}

    said = {elements[f"{item}.00080100"].text: elements[f"{item}.00080104"].text for item in items}
    assert said == {code: text for code, text in MEANINGS.items() if code not in {"113102", "113106"}}
    assert {elements[f"{item}.00080102"].text for item in items} == {"DCM"}


def test_the_method_names_profile_and_version_within_the_vr() -> None:
    for profile in PRESETS.values():
        texts = statement(profile, true_dates=False, masked=False)["00120063"].values

        assert f"profile {profile.name} {profile.version}" in str(texts[0])
        assert all(len(str(text)) <= 64 for text in texts)


def test_own_texts_are_all_that_is_written() -> None:
    profile = PRESETS["research"]
    written = {
        value
        for masked in (True, False)
        for true_dates in (True, False)
        for element in statement(profile, true_dates=true_dates, masked=masked).values()
        for value in element.values
    }

    assert written | {"REMOVED"} == own_texts(profile)
