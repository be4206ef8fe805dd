import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "tools" / "no_skips.py"


@pytest.fixture(scope="module")
def complaints() -> Callable[[str], list[str]]:
    spec = importlib.util.spec_from_file_location(SOURCE.stem, SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[str], list[str]] = module.complaints
    return found


def report(*cases: str) -> str:
    return f'<testsuites><testsuite name="pytest">{"".join(cases)}</testsuite></testsuites>'


PASSED = '<testcase classname="tests.a" name="test_b" time="0.1" />'
SKIPPED = '<testcase classname="tests.a" name="test_c"><skipped message="no Orthanc" /></testcase>'
FAILED = '<testcase classname="tests.a" name="test_d"><failure message="assert">x</failure></testcase>'


def test_a_run_of_passed_tests_is_good(complaints: Callable[[str], list[str]]) -> None:
    assert complaints(report(PASSED)) == []


def test_a_run_without_a_test_is_not(complaints: Callable[[str], list[str]]) -> None:
    assert complaints(report()) == ["no test ran"]


def test_a_skip_is_named_with_its_reason(complaints: Callable[[str], list[str]]) -> None:
    assert complaints(report(PASSED, SKIPPED)) == ["skipped: tests.a::test_c: no Orthanc"]


def test_a_failure_is_named(complaints: Callable[[str], list[str]]) -> None:
    assert complaints(report(PASSED, FAILED)) == ["failed: tests.a::test_d"]
