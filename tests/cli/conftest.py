"""`cmr`, as its console script runs it."""

import sys

import pytest

from cmr_hub import cli


@pytest.fixture
def cmr(capsys, monkeypatch):
    """`cmr ARGUMENTS` → exit code, standard output, standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["cmr", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", "200")
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return end.value.code, captured.out, captured.err

    return run
