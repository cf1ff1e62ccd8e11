"""Nothing is asked of another machine that the user did not ask for.

Each of these runs as a program of its own, without the variables that keep libraries quiet in
tests. Every address that Python asks for is noted, in child processes too. On Linux as root the
program has no network but loopback, and the kernel counts who looked for a way out.
"""

import ipaddress
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cmr_hub.releases import release_directory

SUPPORT = Path(__file__).parent / "support"
# What other tests, or the person at the keyboard, may have set to keep libraries quiet.
QUIETING = (
    "HF_",
    "ORT_",
    "CI",
    "GRADIO_",
    "STREAMLIT_",
    "RAY_",
    "DO_NOT_TRACK",
    "PYTHON",
    "HTTP",
    "http",
)
ALONE = sys.platform == "linux" and os.geteuid() == 0
CMR = [sys.executable, "-c", "from cmr_hub.cli import main; main()"]
RESULTS = str(Path(__file__).parents[1] / "results")
OWN = {None, "", "localhost", "0.0.0.0", "::"}
SERVER = """
import signal, socket, subprocess, sys, time, urllib.request
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
url = f"http://127.0.0.1:{port}"
server = subprocess.Popen([*CMR, *ARGUMENTS, "--port", str(port)])
def get(path):
    return urllib.request.urlopen(url + path, timeout=60).read()
try:
    until = time.monotonic() + 120
    while True:
        try:
            get("/")
            break
        except OSError:
            assert server.poll() is None and time.monotonic() < until
            time.sleep(0.2)
    VISIT
finally:
    server.send_signal(signal.SIGINT)
    server.wait(60)
"""
DASHBOARD_PAGE = """
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
    from websockets.sync.client import connect
    with connect(f"ws://127.0.0.1:{port}/_stcore/stream", subprotocols=["streamlit"],
                 max_size=None) as stream:
        ask = BackMsg()
        ask.rerun_script.query_string = ""
        stream.send(ask.SerializeToString())
        kinds = []
        while "script_finished" not in kinds:
            kinds.append(ForwardMsg.FromString(stream.recv(timeout=120)).WhichOneof("type"))
        assert "delta" in kinds
"""


def is_own(host: str | None) -> bool:
    """Whether an address is of this machine: loopback, a file's, or all that it listens on."""
    if host in OWN or str(host).startswith("/"):
        return True
    try:
        return ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        return False


@pytest.fixture
def asked(tmp_path):
    """Runs a Python program and gives the other machines that it asked for: (host, stack)."""
    log = tmp_path / "asked.jsonl"
    environment = {k: v for k, v in os.environ.items() if not k.startswith(QUIETING)}
    environment |= {
        "PYTHONPATH": os.pathsep.join([str(SUPPORT / "network_watch"), *filter(None, sys.path)]),
        "CMR_NETWORK_LOG": str(log),
        "CMR_CACHE_HOME": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hub"),
    }
    wrapper = [sys.executable, SUPPORT / "alone.py"] if ALONE else []

    def run(*command: str | Path) -> list[tuple[str, str]]:
        log.unlink(missing_ok=True)
        ran = subprocess.run(
            [*wrapper, sys.executable, *command],
            check=False,
            **{"cwd": tmp_path, "env": environment, "timeout": 300},
            **{"capture_output": True, "text": True},
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        noted = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        foreign = [(note["host"], note["stack"]) for note in noted if not is_own(note["host"])]
        if ALONE:
            sought = int(ran.stdout.rpartition("ways out sought: ")[2])
            foreign += [("seen by the kernel alone", "")] * (sought if not foreign else 0)
        return foreign

    return run


def server(visit: str, *arguments: str) -> str:
    """A program that starts a page with `cmr`, visits it and stops it."""
    return f"CMR, ARGUMENTS = {CMR!r}, {arguments!r}\n{SERVER.replace('VISIT', visit)}"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "/tmp/x", None])
def test_own(host):
    assert is_own(host)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "example.org", "localhost.example"])
def test_foreign(host):
    assert not is_own(host)


@pytest.mark.skipif(not ALONE, reason="looks for other machines: only where there are none")
def test_the_watch_sees(asked):
    look_up = "import socket\ntry: socket.getaddrinfo('example.invalid', 80)\nexcept OSError: pass"
    assert [host for host, _ in asked("-c", look_up)] == ["example.invalid"]
    in_a_child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {look_up!r}])"
    assert [host for host, _ in asked("-c", in_a_child)] == ["example.invalid"]
    without_python = "import subprocess; subprocess.run(['bash', '-c', '</dev/tcp/192.0.2.1/80'])"
    assert [host for host, _ in asked("-c", without_python)] == ["seen by the kernel alone"]


def test_import_load_and_search(asked):
    program = "import cmr_hub; assert cmr_hub.load('sketch').search('a red car', k=1)"
    assert asked("-c", program) == []


def test_onnx_runtime_reports_to_nobody(asked, tmp_path):
    """It would keep a session file and a device's number, and send reports some seconds later."""
    program = f"""
import os, tempfile, time
home = tempfile.tempdir = {str(tmp_path / "home")!r}
os.makedirs(home)
os.environ |= {{"HOME": home, "TMPDIR": home, "XDG_CACHE_HOME": home}}
import cmr_hub
model = cmr_hub.load("photos", device="cpu")
assert model.search("a red car", k=1)
assert model.text.required_encoder.placement.backend == "onnx"
time.sleep(3)
kept = [name for _, folders, files in os.walk(home) for name in (*folders, *files)]
assert not [name for name in kept if name == ".ses" or "Microsoft" in name], kept
"""
    assert asked("-c", program) == []


def test_index_and_search_of_a_folder(asked, colour_folder):
    """The texts and pictures of a folder, with everything that `cmr` is asked to do about it."""
    assert asked(*CMR[1:], "index", colour_folder / "test", "--out", "gallery") == []
    assert asked(*CMR[1:], "search", "gallery", "a red flame") == []


def test_training_on_sketches(asked):
    arguments = ["--protocol", "24/8", "--image-encoder", "compact", "--epochs", "2"]
    weights = release_directory("sketch") / "image_encoder.safetensors"
    arguments += ["--image-weights", weights, "--out", "model"]
    assert asked(*CMR[1:], "train", "sketches", *arguments) == []


def test_the_search_page(asked):
    visit = "get('/'); assert b'pictures' in get('/search_text?text=a+red+car&count=3')"
    assert asked("-c", server(visit, "demo")) == []


def test_the_dashboard(asked):
    assert asked("-c", server(DASHBOARD_PAGE, "dashboard", "--results", RESULTS)) == []


def test_the_dashboard_open_to_others_and_asked_by_a_foreign_page(asked):
    visit = f"""
    from websockets.exceptions import InvalidStatus
    from websockets.sync.client import connect
    try:
        connect(f"ws://127.0.0.1:{{port}}/_stcore/stream", origin="http://192.0.2.1")
    except InvalidStatus:
        pass
    else:
        raise AssertionError("let in")
    {DASHBOARD_PAGE}"""
    found = asked("-c", server(visit, "dashboard", "--results", RESULTS, "--host", "0.0.0.0"))
    # A UDP socket that is connected and never written to: it tells which address this machine has.
    assert {host for host, stack in found if "get_internal_ip" not in stack} == set()


def test_libraries_at_import(asked):
    prepare = "from cmr_hub.encoders.torchvision_ops import ensure_torchvision as e; e()"
    libraries = "transformers, huggingface_hub, gradio, streamlit"
    assert asked("-c", f"{prepare}; import {libraries}") == []
