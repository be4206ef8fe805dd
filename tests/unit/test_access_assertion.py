"""Who asks is what the warehouse signed, for a minute, once."""

import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from hmac import digest

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from p2d.access.assertion import AUDIENCE, ISSUER, Assertions, new_keypair, sign
from p2d.access.caller import Caller
from p2d.access.roles import Role
from p2d.model.errors import InvalidRequest, Misconfigured, Refused

PRIVATE, PUBLIC = new_keypair()
NOW = 1_700_000_000.0


def now() -> float:
    return NOW


def claims(**changes: object) -> dict[str, object]:
    usual = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ruth", "role": "researcher",
        "iat": int(NOW), "exp": int(NOW) + 60, "jti": "unique",
    }  # fmt: skip
    return {name: value for name, value in (usual | changes).items() if value is not None}


def signed(**changes: object) -> str:
    return jwt.encode(claims(**changes), PRIVATE.decode(), algorithm="EdDSA")


def part(content: object) -> bytes:
    return urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=")


def test_a_signed_assertion_names_user_and_role() -> None:
    token = sign(PRIVATE, "ruth", Role.RESEARCHER, now)

    assert Assertions(PUBLIC, now).verify(token) == Caller("ruth", Role.RESEARCHER, "warehouse")


def test_an_assertion_is_good_once() -> None:
    verifier = Assertions(PUBLIC, now)
    token = sign(PRIVATE, "ruth", "operator", now)
    verifier.verify(token)

    with pytest.raises(Refused):
        verifier.verify(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "another"},
        {"aud": None},
        {"iss": "another"},
        {"exp": int(NOW) - 61},
        {"iat": int(NOW) + 120, "exp": int(NOW) + 180},
        {"exp": int(NOW) + 3600},
        {"exp": int(NOW)},
        {"exp": None},
        {"exp": "soon"},
        {"exp": 1e300},
        {"jti": None},
        {"jti": ""},
        {"jti": 7},
        {"role": "root"},
        {"role": ["operator"]},
        {"role": None},
        {"sub": ""},
        {"sub": None},
        {"sub": "ru\nth"},
        {"sub": "r" * 129},
    ],
)
def test_an_assertion_with_wrong_claims_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Refused):
        Assertions(PUBLIC, now).verify(signed(**changes))


def test_an_assertion_past_its_life_and_skew_is_refused() -> None:
    token = sign(PRIVATE, "ruth", "researcher", now)

    with pytest.raises(Refused):
        Assertions(PUBLIC, lambda: NOW + 121).verify(token)

    assert Assertions(PUBLIC, lambda: NOW + 119).verify(token)


def test_algorithm_none_is_refused() -> None:
    token = b".".join([part({"alg": "none", "typ": "JWT"}), part(claims()), b""]).decode()

    with pytest.raises(Refused):
        Assertions(PUBLIC, now).verify(token)


def test_hmac_with_the_public_key_is_refused() -> None:
    content = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(claims())
    mac = urlsafe_b64encode(digest(PUBLIC, content, sha256)).rstrip(b"=")

    with pytest.raises(Refused):
        Assertions(PUBLIC, now).verify((content + b"." + mac).decode())


def test_another_key_is_refused() -> None:
    stranger, _ = new_keypair()

    with pytest.raises(Refused):
        Assertions(PUBLIC, now).verify(sign(stranger, "ruth", "operator", now))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_changed_part_is_refused(place: int) -> None:
    parts = sign(PRIVATE, "ruth", "researcher", now).split(".")
    parts[place] = parts[place][:5] + ("A" if parts[place][5] != "A" else "B") + parts[place][6:]

    with pytest.raises(Refused):
        Assertions(PUBLIC, now).verify(".".join(parts))


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 5000])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Refused):
        Assertions(PUBLIC, now).verify(token)


def test_all_refusals_read_alike() -> None:
    messages = set()
    for token in ("", signed(aud="another"), signed(exp=int(NOW) - 90)):
        with pytest.raises(Refused) as caught:
            Assertions(PUBLIC, now).verify(token)
        messages.add(str(caught.value))

    assert len(messages) == 1


def test_only_an_ed25519_key_verifies() -> None:
    rsa = generate_private_key(65537, 2048).public_key()
    pem = rsa.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    for wrong in (pem, PRIVATE, b"", b"text"):
        with pytest.raises(Misconfigured):
            Assertions(wrong)


def test_only_an_ed25519_key_signs() -> None:
    with pytest.raises(Misconfigured):
        sign(PUBLIC, "ruth", "researcher")


@pytest.mark.parametrize(
    ("user", "role", "seconds"), [("", "operator", 60), ("ruth", "root", 60), ("ruth", "operator", 3600)]
)
def test_nonsense_is_not_signed(user: str, role: str, seconds: int) -> None:
    with pytest.raises(InvalidRequest):
        sign(PRIVATE, user, role, now, seconds)
