"""Define the command `cmr dashboard`."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from cmr_hub.cli.options import AllowDownload, AllowHost, Device
from cmr_hub.errors import CMRError

SCRIPT = Path(__file__).parent.parent / "apps" / "dashboard" / "app.py"


def dashboard(
    results: Annotated[Path, typer.Option(help="Folder of the results.")] = Path("results"),
    model: Annotated[
        list[Path] | None,
        typer.Option(help="Model, gallery, or folder of them. Can be repeated. Default: runs."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    allow_host: AllowHost = None,
    device: Device = "auto",
    allow_download: AllowDownload = False,
) -> None:
    """Serve a dashboard of stored results, training curves and common spaces.

    The dashboard reads RESULTS, the models and, for the pictures of stored runs, the datasets in
    $CMR_DATA_HOME. It does not contact other machines unless --allow-download is given.
    """
    try:
        from streamlit import net_util
        from streamlit.web import cli

        # Imported now so that the first visitor does not wait.
        import cmr_hub.apps.dashboard.preload  # noqa: F401
    except ImportError as error:
        raise CMRError(
            f"the dashboard needs Streamlit ({error}): pip install 'cmr-hub[dashboard]'"
        ) from error

    from cmr_hub.apps.hosts import declared_hosts, is_every_address

    names = list(allow_host or ())
    if is_every_address(host):
        # Names of this machine in its network. Other names must be given as options.
        names += [socket.gethostname(), net_util.get_internal_ip() or ""]
    # Streamlit would request the address of this machine from a server on the Internet, to print it
    # and to check the origin of requests.
    net_util.get_external_ip = lambda: None
    arguments = [
        str(SCRIPT),
        f"--server.address={host}",
        f"--server.port={port}",
        "--server.enableCORS=true",
        "--server.enableXsrfProtection=true",
    ]
    arguments += [f"--server.allowedHosts={name}" for name in sorted(declared_hosts(host, names))]
    options = [option for path in model or [] for option in ("--model", str(path))]
    options += ["--device", device, *(["--allow-download"] if allow_download else [])]
    cli.main(
        ["run", *arguments, "--", "--results", str(results), *options],
        prog_name="streamlit",
        standalone_mode=False,
    )
