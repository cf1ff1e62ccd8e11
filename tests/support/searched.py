"""Run `cmr search` in a separate process and record its imports."""

import json
import os
import subprocess
import sys
from typing import Any

HEAVY = {"torch", "transformers", "timm", "torchvision", "pandas", "sklearn", "scipy"}
HEAVY |= {"faiss", "sqlglot", "huggingface_hub", "jinja2", "onnx", "openvino", "gradio"}
HEAVY |= {"sentence_transformers", "open_clip"}
_SEARCH = """
import json, sys
from cmr_hub.cli import main
sys.argv = ["cmr", "search", *{arguments!r}]
try:
    main()
finally:
    print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def searched(*arguments: str) -> tuple[list[dict[str, Any]], set[str]]:
    """Return the JSON output of a search and the modules that it imported."""
    run = subprocess.run(
        [sys.executable, "-c", _SEARCH.format(arguments=(*arguments, "--json"))],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    return json.loads(run.stdout), set(json.loads(run.stderr.splitlines()[-1]))
