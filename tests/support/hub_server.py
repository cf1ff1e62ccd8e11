"""A small Hub over HTTP: the routes with which huggingface_hub creates and reads repositories.

All data is kept in memory. `faults` defines which requests fail and how.
"""

import base64
import json
import re
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_repository import Fault, Repository, git_sha1, sha256

TOKEN = "hf_TheTokenThatNobodyMaySee"
LICENSES = {"apache-2.0", "mit", "cc-by-4.0", "cc-by-nc-4.0", "other"}
LARGE = re.compile(r"\.(safetensors|parquet|png|jpg|webp)$")


class HubServer(ThreadingHTTPServer):
    """A server on a free port of localhost."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.reset()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def reset(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.large: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.faults: list[Fault] = []
        self.lock = threading.RLock()

    def handle_error(self, request, client_address) -> None:
        """Ignore clients that have disconnected."""

    def put(self, name: str, folder: Path, branch: str = "main") -> str:
        """Create a repository from a folder and return its commit."""
        repository = self.repositories.setdefault(("model", name), Repository())
        return repository.commit(
            branch,
            {
                path.relative_to(folder).as_posix(): path.read_bytes()
                for path in sorted(folder.rglob("*"))
                if path.is_file()
            },
        )

    def counted(self) -> Counter[str]:
        """Count the requests by kind: `GET resolve`, `POST commit`, ..."""
        names = r"resolve|revision|tree|preupload|batch|commit|upload|create|delete|branch|refs"
        return Counter(
            f"{request.split()[0]} {(re.findall(names, request) or ['info'])[-1]}"
            for request in self.requests
        )


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: HubServer

    def log_message(self, *arguments) -> None:
        """Suppress log messages."""

    def do_GET(self) -> None:
        self.answer()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length)
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        url = urlsplit(self.path)
        self.query = {name: values[0] for name, values in parse_qs(url.query).items()}
        asked = f"{self.command} {url.path}"
        with self.server.lock:
            self.server.requests.append(asked)
            fault = next(
                (f for f in self.server.faults if f.times and re.search(f.request, asked)), None
            )
            if fault:
                fault.times -= 1
        self.cut = fault is not None and fault.status == 0
        if fault and fault.status:
            self.send(fault.status, fault.body.encode(), **fault.headers)
            return
        if self.cut and self.command != "GET":
            self.hang_up()
            return
        with self.server.lock:
            self.route(url.path)

    # ---- responses

    def send(self, status: int, content: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.cut:
            self.wfile.write(content[: len(content) // 2])
            self.hang_up()
            return
        self.wfile.write(content)

    def hang_up(self) -> None:
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def json(self, content: object, status: int = 200) -> None:
        self.send(status, json.dumps(content).encode(), Content_Type="application/json")

    def refuse(self, status: int, code: str, message: str = "") -> None:
        self.send(status, b"{}", X_Error_Code=code, X_Error_Message=message or code)

    # ---- routes

    def route(self, path: str) -> None:
        routes = [
            (r"/api/whoami-v2", self.whoami),
            (r"/api/validate-yaml", self.validate),
            (r"/api/repos/create", self.create),
            (r"/api/repos/delete", self.delete),
            (r"/upload/([0-9a-f]{64})", self.upload),
            (r"/verify", lambda: self.json({})),
            (r"/cdn/([0-9a-f]{64})", self.content_of),
            (r"/api/(model|dataset|space)s/([^/]+/[^/]+)(?:/(.*))?", self.about),
            (r"/(?:(dataset|space)s/)?([^/]+/[^/]+)\.git/info/lfs/objects/batch", self.batch),
            (r"/(?:(dataset|space)s/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)", self.resolve),
        ]
        for pattern, handler in routes:
            found = re.fullmatch(pattern, path)
            if found:
                handler(*found.groups())
                return
        self.refuse(404, "NotFound", f"no such route: {self.command} {path}")

    @property
    def allowed(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def repository(self, kind: str | None, name: str) -> Repository | None:
        found = self.server.repositories.get((kind or "model", name))
        if found is None or (found.private and not self.allowed):
            self.refuse(404 if self.allowed else 401, "RepoNotFound", "Repository not found")
            return None
        return found

    def commit_of(self, repository: Repository, revision: str) -> str | None:
        revision = unquote(revision)
        sha = repository.branches.get(revision, revision)
        if sha not in repository.commits:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return sha

    def whoami(self) -> None:
        if self.allowed:
            self.json({"type": "user", "name": "user", "orgs": []})
        else:
            self.refuse(401, "", "Invalid credentials")

    def validate(self) -> None:
        """Respond with the errors for which the Hub refuses the metadata of a card."""
        content = json.loads(self.body)["content"]
        head = re.match(r"---\n(.*?)\n---\n", content, re.DOTALL)
        problems = []
        if head:
            data = yaml.safe_load(head[1])
            if data.get("license", "other") not in LICENSES:
                problems.append('"license" must be one of the known ones')
            if data.get("license") == "other" and not data.get("license_name"):
                problems.append('"license_name" is needed with "license: other"')
            for model in data.get("model-index", []):
                for result in model["results"]:
                    if not result["task"]["type"] or not result["dataset"]["type"]:
                        problems.append('"model-index" needs task.type and dataset.type')
                    for metric in result["metrics"]:
                        if "value" not in metric or not metric.get("type"):
                            problems.append('"model-index" needs metrics with type and value')
            for key in ("tags", "datasets"):
                if not all(isinstance(value, str) for value in data.get(key, [])):
                    problems.append(f'"{key}" must be strings')
        errors = [{"message": problem} for problem in problems]
        self.json({"errors": errors, "warnings": []}, 400 if problems else 200)

    def create(self) -> None:
        asked = json.loads(self.body)
        if not self.allowed:
            self.refuse(401, "", "Invalid username or password.")
            return
        kind = asked.get("type") or "model"
        name = f"{asked.get('organization') or 'user'}/{asked['name']}"
        if (kind, name) in self.server.repositories:
            self.json({"error": "You already created this repo", "url": ""}, 409)
            return
        private = asked.get("private") or asked.get("visibility") == "private"
        repository = self.server.repositories[kind, name] = Repository(private=bool(private))
        repository.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"})
        where = name if kind == "model" else f"{kind}s/{name}"
        self.json({"url": f"{self.server.url}/{where}", "name": name})

    def delete(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked.get('organization') or 'user'}/{asked['name']}"
        if self.allowed:
            self.server.repositories.pop((asked.get("type") or "model", name), None)
        self.json({})

    def about(self, kind: str, name: str, rest: str | None) -> None:
        repository = self.repository(kind, name)
        if repository is None:
            return
        verb, _, argument = (rest or "revision/main").partition("/")
        if self.command != "GET" and not self.allowed:
            self.refuse(403, "", "You need write access")
        elif verb == "revision":
            self.info(repository, kind, name, argument)
        elif verb == "tree":
            self.tree(repository, argument)
        elif verb == "refs":
            refs = [
                {"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": sha}
                for branch, sha in repository.branches.items()
            ]
            self.json({"branches": refs, "tags": [], "converts": []})
        elif verb == "preupload":
            self.preupload(repository, argument)
        elif verb == "commit":
            self.add_commit(repository, kind, name, argument)
        elif verb == "branch":
            self.branch(repository, unquote(argument))
        else:
            self.refuse(404, "NotFound", f"no such route: {rest}")

    def info(self, repository: Repository, kind: str, name: str, revision: str) -> None:
        sha = self.commit_of(repository, revision)
        if sha is None:
            return
        siblings = [
            {"rfilename": path, "size": len(content)}
            for path, content in repository.commits[sha].items()
        ]
        self.json({"id": name, "sha": sha, "private": repository.private, "siblings": siblings})

    def tree(self, repository: Repository, revision: str) -> None:
        sha = self.commit_of(repository, revision)
        if sha is None:
            return
        entries = []
        for path, content in repository.commits[sha].items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": git_sha1(content)}
            if LARGE.search(path):
                pointer = {"oid": sha256(content), "size": len(content), "pointerSize": 130}
                entry["lfs"] = pointer
            entries.append(entry)
        self.json(entries)

    def preupload(self, repository: Repository, revision: str) -> None:
        sha = self.commit_of(repository, revision)
        if sha is None:
            return
        files = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if LARGE.search(file["path"]) else "regular",
                "shouldIgnore": False,
            }
            for file in json.loads(self.body)["files"]
        ]
        self.json({"files": files})

    def batch(self, kind: str | None, name: str) -> None:
        if self.repository(kind, name) is None:
            return
        objects = []
        for asked in json.loads(self.body)["objects"]:
            entry = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.server.large:
                upload = {"href": f"{self.server.url}/upload/{asked['oid']}", "header": {}}
                entry["actions"] = {
                    "upload": upload,
                    "verify": {"href": f"{self.server.url}/verify"},
                }
            objects.append(entry)
        self.json({"transfer": "basic", "objects": objects})

    def upload(self, oid: str) -> None:
        if sha256(self.body) != oid:
            self.refuse(400, "", "the content is not what was announced")
            return
        self.server.large[oid] = self.body
        self.send(200)

    def add_commit(self, repository: Repository, kind: str, name: str, revision: str) -> None:
        sha = self.commit_of(repository, revision)
        if sha is None:
            return
        files = dict(repository.commits[sha])
        for line in self.body.splitlines():
            operation = json.loads(line)
            key, value = operation["key"], operation["value"]
            if key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.large[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        where = f"{self.server.url}/" + (name if kind == "model" else f"{kind}s/{name}")
        if self.query.get("create_pr"):
            found = repository.commit("refs/pr/1", files)
            pull_request = {"pullRequestUrl": f"{where}/discussions/1"}
        else:
            found = repository.commit(unquote(revision), files)
            pull_request = {}
        self.json({"commitUrl": f"{where}/commit/{found}", "commitOid": found, **pull_request})

    def branch(self, repository: Repository, name: str) -> None:
        if self.command == "DELETE":
            repository.branches.pop(name, None)
        else:
            repository.branches[name] = repository.branches["main"]
        self.json({})

    def resolve(self, kind: str | None, name: str, revision: str, path: str) -> None:
        repository = self.repository(kind, name)
        if repository is None:
            return
        if repository.gated and not self.allowed:
            self.refuse(403, "GatedRepo", "Access to this model is restricted")
            return
        sha = self.commit_of(repository, revision)
        if sha is None:
            return
        content = repository.commits[sha].get(unquote(path))
        if content is None:
            self.refuse(404, "EntryNotFound", "Entry not found")
        elif LARGE.search(path):
            oid = sha256(content)
            self.server.large[oid] = content
            self.send(
                302,
                # Large files are on another host, whose responses do not name the commit.
                Location=f"{self.server.url}/cdn/{oid}".replace("127.0.0.1", "localhost"),
                X_Repo_Commit=sha,
                X_Linked_Etag=f'"{oid}"',
                X_Linked_Size=str(len(content)),
            )
        else:
            self.bytes_of(content, X_Repo_Commit=sha, ETag=f'"{git_sha1(content)}"')

    def content_of(self, oid: str) -> None:
        self.bytes_of(self.server.large[oid], ETag=f'"{oid}"')

    def bytes_of(self, content: bytes, **headers: str) -> None:
        """Return the whole content, or the range that the client requests."""
        first = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if first and int(first[1]) < len(content):
            at = int(first[1])
            where = f"bytes {at}-{len(content) - 1}/{len(content)}"
            self.send(206, content[at:], Content_Range=where, **headers)
        elif self.command == "HEAD":
            self.send(200, Content_Length=str(len(content)), **headers)
        else:
            self.send(200, content, Accept_Ranges="bytes", **headers)
