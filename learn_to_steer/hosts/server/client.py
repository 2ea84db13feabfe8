"""The few questions that are asked of a running ComfyUI."""

from __future__ import annotations

import http.client
import io
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from ...errors import SteeringError

LOCAL = "http://127.0.0.1:8188"
"""Where ComfyUI listens by default, on this machine alone."""

ANSWER_WITHIN = 60.0
"""Seconds for one answer over HTTP; drawing may take as long as it wants."""

_PAUSES = (0.02, 1.0)
"""Seconds between two looks at the history: the first, and the longest."""

_LOOKS_AT_THE_QUEUE = 5.0
"""Seconds between two looks at the queue, in case somebody took the graph out of it."""


class Server:
    """A ComfyUI at an address."""

    def __init__(self, address: str = LOCAL) -> None:
        """Raises SteeringError for an address that is no http(s) one."""
        parts = urllib.parse.urlsplit(address if "://" in address else f"http://{address}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SteeringError(
                f"Expected the address of a ComfyUI server such as {LOCAL}, got {address!r}; correct it."
            )
        self.address = urllib.parse.urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", ""))
        local = parts.hostname in ("localhost", "::1") or parts.hostname.startswith("127.")
        # A proxy of the environment is for the network, not for this machine.
        handlers = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(*handlers)

    def version(self) -> str:
        """ComfyUI's version, "" where it does not say."""
        return str(self._json("/system_stats").get("system", {}).get("comfyui_version", ""))

    def nodes(self) -> dict[str, Any]:
        """What every node class takes and gives."""
        return self._json("/object_info")

    def forget(self) -> None:
        """Let results in the server's cache go: what comes from there took no time and was not drawn now."""
        self._ask("/free", {"unload_models": False, "free_memory": True})

    def run(self, graph: Mapping[str, Any]) -> dict[str, Any]:
        """Queue a graph in API format and wait for its entry in the history.

        Raises SteeringError for a graph that the server refuses, that fails, or that is taken out of the queue.
        """
        number = self._json("/prompt", {"prompt": graph}).get("prompt_id")
        if not isinstance(number, str):
            raise self._other("/prompt")
        pause, looked = _PAUSES[0], time.monotonic()
        while True:
            entry = self._json(f"/history/{number}").get(number)
            if entry is not None and entry.get("status", {}).get("completed") is not None:
                break
            if time.monotonic() - looked > _LOOKS_AT_THE_QUEUE:
                looked = time.monotonic()
                if not self._queued(number) and number not in self._json(f"/history/{number}"):
                    raise SteeringError(
                        f"Expected the graph to stay in the queue of {self.address}, but it is gone; call the command "
                        "again to go on."
                    )
            time.sleep(pause)
            pause = min(1.5 * pause, _PAUSES[1])
        if entry["status"].get("status_str") != "success":
            raise SteeringError(
                f"Expected the graph to run on {self.address}, but {_failure(entry)}; try it there by hand first."
            )
        return entry

    def picture(self, image: Mapping[str, Any]) -> np.ndarray:
        """(height, width, 3) uint8 of an entry under "images" in a history."""
        query = urllib.parse.urlencode({k: image[k] for k in ("filename", "subfolder", "type") if k in image})
        data = self._ask(f"/view?{query}")
        try:
            with Image.open(io.BytesIO(data)) as picture:
                return np.array(picture.convert("RGB"))
        except (OSError, SyntaxError, ValueError) as error:  # what PIL says of broken ones
            raise SteeringError(
                f"Expected a picture from {self.address}, but it sends one that cannot be read ({error}); call the command "
                "again to go on."
            ) from error

    def _queued(self, number: str) -> bool:
        queue = self._json("/queue")
        return any(number in entry for part in queue.values() for entry in part)

    def _json(self, path: str, body: Any = None) -> dict[str, Any]:
        answer = self._ask(path, body)
        try:
            said = json.loads(answer)
        except (ValueError, RecursionError) as error:
            raise self._other(path) from error
        if not isinstance(said, dict):
            raise self._other(path)
        return said

    def _other(self, path: str) -> SteeringError:
        return SteeringError(
            f"Expected a ComfyUI server at {self.address}, but it answers {path} with something else; check the address."
        )

    def _ask(self, path: str, body: Any = None) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data, {"Content-Type": "application/json"} if data else {}
        )
        try:
            with self._opener.open(request, timeout=ANSWER_WITHIN) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise SteeringError(
                f"Expected {self.address}{path.partition('?')[0]} to take what it was sent, but it says "
                f"{_refusal(error)}; check the graph on that server."
            ) from error
        except (OSError, http.client.HTTPException) as error:
            reason = " ".join(str(getattr(error, "reason", None) or error).split()) or type(error).__name__
            raise SteeringError(
                f"Expected a running ComfyUI server at {self.address}, but it does not answer ({reason}); start it or give "
                "its address with --server, and call the command again."
            ) from error


def _refusal(error: urllib.error.HTTPError) -> str:
    """Why the server refuses a graph: its first word on a node, else its own summary."""
    try:
        said = json.loads(error.read())
        for node, found in said.get("node_errors", {}).items():
            for one in found.get("errors", []):
                return f"node {node} ({found.get('class_type')}): {one.get('message')}, {one.get('details')}"
        return str(said["error"]["message"])
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return f"HTTP {error.code}"


def _failure(entry: Mapping[str, Any]) -> str:
    for kind, said in entry["status"].get("messages", []):
        if kind == "execution_error":
            message = str(said.get("exception_message")).strip()
            return f"node {said.get('node_id')} ({said.get('node_type')}) says: {message}"
        if kind == "execution_interrupted":
            return "somebody interrupted it"
    return "it failed"
