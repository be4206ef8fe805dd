"""Signed summaries: whole ones verify, changed ones do not."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from p2d.jobs.report import Patients, RunReport
from p2d.jobs.summary import make_keys, signed, signing_key, summary_of, verified
from p2d.model.errors import InvalidRequest, Misconfigured


def report(missing: int = 0) -> RunReport:
    return RunReport(
        run_id="R1", kind="bulk", user="olga", request={"identifiers": ["PSEUDONYM"]}, state="completed",
        patients=Patients(1, 1, 0, {}, {}, 0), expected=4, received=4 - missing, missing=missing,
        released=3 - missing, withheld={"undecodable": 1}, duplicate=0, refused=0, series=1, studies=1,
        notes=("patient PSEUDONYM: late",), lines_adding_up=True, started_at=1.5, updated_at=2.5,
    )  # fmt: skip


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("keys")
    private, public = folder / "ledger.key", folder / "ledger.pub"
    make_keys(private, public)
    return private, public


def test_a_signed_summary_verifies_and_names_no_patient(keys: tuple[Path, Path]) -> None:
    private, public = keys
    content = json.dumps(signed(report(missing=1), signing_key(private)), indent=2).encode()

    assert verified(content, public) == summary_of(report(missing=1))
    assert b"PSEUDONYM" not in content


@given(place=st.integers(0, 2000), bit=st.integers(0, 7))
def test_no_changed_bit_verifies_as_another_summary(keys: tuple[Path, Path], place: int, bit: int) -> None:
    private, public = keys
    content = bytearray(json.dumps(signed(report(), signing_key(private))).encode())
    content[place % len(content)] ^= 1 << bit

    try:
        found = verified(bytes(content), public)
    except InvalidRequest:
        return
    assert found == summary_of(report())


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'"x"', b"\xff", b'{"summary": {}, "signature": 1}'])
def test_what_is_no_summary_is_said(keys: tuple[Path, Path], content: bytes) -> None:
    with pytest.raises(InvalidRequest, match="is not a signed summary"):
        verified(content, keys[1])


def test_a_summary_of_another_gateway_is_refused(keys: tuple[Path, Path], tmp_path: Path) -> None:
    make_keys(tmp_path / "a", tmp_path / "b")
    content = json.dumps(signed(report(), signing_key(tmp_path / "a"))).encode()

    with pytest.raises(InvalidRequest, match="does not match its signature"):
        verified(content, keys[1])


def test_keys_are_private_never_replaced_and_checked(keys: tuple[Path, Path], tmp_path: Path) -> None:
    private, public = keys
    assert private.stat().st_mode & 0o077 == 0
    with pytest.raises(Misconfigured, match="cannot be written"):
        make_keys(private, tmp_path / "new")

    loose = tmp_path / "loose"
    loose.write_bytes(private.read_bytes())
    loose.chmod(0o644)
    with pytest.raises(Misconfigured, match="readable by others"):
        signing_key(loose)
    public_copy = tmp_path / "pub"
    public_copy.write_bytes(public.read_bytes())
    public_copy.chmod(0o600)
    for wrong in (public_copy, tmp_path / "absent"):
        with pytest.raises(Misconfigured, match="holds no Ed25519 private key"):
            signing_key(wrong)
    with pytest.raises(Misconfigured, match="holds no Ed25519 public key"):
        verified(b"{}", private)
