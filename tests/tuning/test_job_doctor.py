"""What comes back from a head; the job itself is tested with a real one, in test_real_heads."""

from raytune_pipe.base import to_json
from raytune_pipe.tuning.doctor_check import Check
from raytune_pipe.tuning.job_doctor import _checks, run_checks_as_job

FOUND = [
    Check("head", "ok", "answers"),
    Check("disk", "fail", "full", "free some", ("10.0.0.1", "10.0.0.2")),
]


def test_checks_are_found_among_what_a_job_prints() -> None:
    line = to_json({"checks": [check.to_mapping() for check in FOUND], "ok": False})
    assert _checks(f"a warning of Ray's\n{line}\nnext: raytune-pipe doctor") == FOUND


def test_a_job_that_has_no_checks_to_tell_fails_with_its_last_line() -> None:
    (check,) = _checks("Usage: ...\nError: no such command\n")
    assert (check.name, check.verdict) == ("head", "fail")
    assert check.found == "doctor must run there, but got: Error: no such command"
    (check,) = _checks("")
    assert check.verdict == "fail"


def test_a_closed_port_is_a_check_that_fails() -> None:
    (check,) = run_checks_as_job("http://127.0.0.1:1", None, None, [], insecure=False)
    assert (check.name, check.verdict) == ("head", "fail")
    assert "Connection refused" in check.found
