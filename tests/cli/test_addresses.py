from pathlib import Path

import pytest

from raytune_pipe.cli.addresses import chosen

JOB, DRIVER = "http://10.0.0.1:8265", "10.0.0.1:6379"


@pytest.mark.parametrize(
    ("given", "server", "address", "value", "source"),
    [
        (None, None, None, None, None),
        ("auto", JOB, DRIVER, "auto", "--address"),
        (None, JOB, DRIVER, JOB, "RAY_API_SERVER_ADDRESS"),
        (None, "10.0.0.1:8265", None, JOB, "RAY_API_SERVER_ADDRESS"),
        (None, None, DRIVER, DRIVER, "RAY_ADDRESS"),
        (None, "", JOB, JOB, "RAY_ADDRESS"),
        ("local", JOB, DRIVER, None, None),
        (None, None, "local", None, None),
    ],
)
def test_the_command_line_comes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: str | None,
    server: str | None,
    address: str | None,
    value: str | None,
    source: str | None,
) -> None:
    for name, text in (("RAY_API_SERVER_ADDRESS", server), ("RAY_ADDRESS", address)):
        if text is not None:
            monkeypatch.setenv(name, text)
    found = chosen(given)
    assert (found.value, found.source) == (value, source)
    assert found.is_job == (value == JOB)
    found.tell()
    told = capsys.readouterr().err
    is_told = source not in (None, "--address")
    assert told == (f"note: --address {value}, from {source}\n" if is_told else "")


def test_what_is_here_is_meant_unless_the_command_line_names_a_head(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert chosen(JOB).is_for(str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", JOB)
    assert not chosen(None).is_for(str(tmp_path))
    assert chosen(None).is_for(f"{tmp_path}/a-job")
    assert not chosen("auto").is_for("a-job")
