"""What is asked of a server, and what its answers mean: a small HTTP server of this process answers."""

import io
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import Image

from learn_to_steer.errors import SteeringError
from learn_to_steer.hosts.server import GraphSampler, Server
from learn_to_steer.hosts.server.graph import PICTURE, TRACE
from learn_to_steer.objectives import CentroidObjective


class Answers(BaseHTTPRequestHandler):
    """Answers by the table of its server, path -> JSON, bytes, or (status, JSON); remembers what it was sent."""

    def do_GET(self):
        self._answer(None)

    def do_POST(self):
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body):
        path, _, query = self.path.partition("?")
        self.server.asked.append((path, query, body))
        value = self.server.table.get(path, (404, {}))
        if callable(value):
            value = value()
        status, value = value if isinstance(value, tuple) else (200, value)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def there():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.table, server.asked = {}, []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def client(there):
    return Server(f"http://127.0.0.1:{there.server_address[1]}")


def entry(status="success", outputs=None, messages=()):
    return {
        "status": {"completed": True, "status_str": status, "messages": list(messages)},
        "outputs": outputs or {},
    }


def png(colour):
    file = io.BytesIO()
    Image.fromarray(np.full((4, 6, 3), colour, np.uint8)).save(file, "PNG")
    return file.getvalue()


class Filled:
    """A graph that says what it was filled with."""

    def filled(self, prompt, seed, steered):
        return {"1": {"prompt": prompt, "seed": seed, "steered": steered}}


STAMPS = [("execution_start", {"timestamp": 1000}), ("execution_success", {"timestamp": 3500})]


def test_pictures_passes_and_the_servers_own_seconds(there):
    report = {
        "runs": [
            {"traces": [{"evaluations": [3], "gradients": [2]}]},
            {"traces": [{"evaluations": [1], "gradients": [0]}]},
        ]
    }
    outputs = {
        PICTURE: {"images": [{"filename": "a.png", "subfolder": "", "type": "temp"}]},
        TRACE: {"text": [json.dumps(report)]},
    }
    there.table = {
        "/free": {},
        "/prompt": {"prompt_id": "n"},
        "/history/n": {"n": entry(outputs=outputs, messages=STAMPS)},
        "/view": png(9),
    }
    sampler = GraphSampler(client(there), Filled(), True)
    drawn = sampler.sample(["x", "y"], [1, 2], steps=None, guidance=None)
    assert drawn.pictures.shape == (2, 4, 6, 3) and (drawn.pictures == 9).all()
    assert (drawn.trace.evaluations, drawn.trace.gradients) == ([4, 4], [2, 2])
    assert drawn.seconds == 5.0 and drawn.model_calls is None  # 2.5 s each
    posted = [body for path, _, body in there.asked if path == "/prompt"]
    assert posted == [{"prompt": Filled().filled(p, s, True)} for p, s in (("x", 1), ("y", 2))]
    assert [path for path, _, _ in there.asked].count("/free") == 1  # before the first
    assert "filename=a.png" in next(query for path, query, _ in there.asked if path == "/view")
    with pytest.raises(SteeringError, match="graph to say how to steer"):
        sampler.sample(["x"], [1], steps=None, guidance=None, objective=CentroidObjective())


def test_plain_has_no_passes_of_steering(there):
    outputs = {PICTURE: {"images": [{"filename": "a.png"}]}}
    there.table = {
        "/free": {},
        "/prompt": {"prompt_id": "n"},
        "/history/n": {"n": entry(outputs=outputs, messages=STAMPS)},
        "/view": png(1),
    }
    drawn = GraphSampler(client(there), Filled(), False).sample(["x"], [1], steps=None, guidance=None)
    assert (drawn.trace.evaluations, drawn.trace.gradients) == ([0], [0])


def test_it_waits_until_the_graph_is_through(there):
    answers = iter([{}, {}, {"n": entry()}])
    there.table = {"/prompt": {"prompt_id": "n"}, "/history/n": lambda: next(answers)}
    assert client(there).run({})["status"]["status_str"] == "success"


def refused(there, call):
    with pytest.raises(SteeringError) as caught:
        call(client(there))
    assert "\n" not in str(caught.value) and str(caught.value).startswith("Expected ")
    return str(caught.value)


def test_what_goes_wrong_is_one_sentence(there, monkeypatch):
    details = {
        "errors": [{"message": "Value not in list", "details": "ckpt_name"}],
        "class_type": "CheckpointLoaderSimple",
    }
    there.table = {"/prompt": (400, {"error": {"message": "bad"}, "node_errors": {"4": details}})}
    assert "node 4 (CheckpointLoaderSimple): Value not in list, ckpt_name" in refused(
        there, lambda s: s.run({})
    )
    there.table = {"/prompt": (400, {"error": {"message": "no outputs"}, "node_errors": {}})}
    assert "no outputs" in refused(there, lambda s: s.run({}))
    failed = [
        ("execution_error", {"node_id": "7", "node_type": "KSampler", "exception_message": "out of memory\n"})
    ]
    there.table = {"/prompt": {"prompt_id": "n"}, "/history/n": {"n": entry("error", messages=failed)}}
    assert "node 7 (KSampler) says: out of memory" in refused(there, lambda s: s.run({}))
    there.table = {
        "/prompt": {"prompt_id": "n"},
        "/history/n": {},
        "/queue": {"queue_running": [], "queue_pending": []},
    }
    monkeypatch.setattr("learn_to_steer.hosts.server.client._LOOKS_AT_THE_QUEUE", 0.1)
    assert "it is gone" in refused(there, lambda s: s.run({}))
    there.table = {"/object_info": b"<html>"}
    assert "something else" in refused(there, lambda s: s.nodes())
    there.table = {}
    assert "HTTP 404" in refused(there, lambda s: s.nodes())
    there.table = {"/prompt": {"prompt_id": "n"}, "/history/n": {"n": entry(messages=STAMPS)}, "/free": {}}
    sampler = GraphSampler(client(there), Filled(), False)
    with pytest.raises(SteeringError, match="show the output"):
        sampler.sample(["x"], [1], steps=None, guidance=None)


def test_answers_of_something_else_are_one_sentence(there):
    for answer in ([1, 2], "text", {"prompt_id": 3}, {}):
        there.table = {"/prompt": answer}
        assert "answers /prompt with something else" in refused(there, lambda s: s.run({}))
    there.table = {"/view": png(1)[:-26]}
    assert "sends one that cannot be read" in refused(there, lambda s: s.picture({"filename": "a.png"}))
    there.table = {"/view": b"no picture"}
    assert "sends one that cannot be read" in refused(there, lambda s: s.picture({"filename": "a.png"}))
    outputs = {PICTURE: {"images": [{"filename": "a.png"}]}}
    there.table = {
        "/prompt": {"prompt_id": "n"},
        "/history/n": {"n": entry(outputs=outputs)},
        "/free": {},
        "/view": png(1),
    }
    with pytest.raises(SteeringError, match="when a graph began"):
        GraphSampler(client(there), Filled(), False).sample(["x"], [1], steps=None, guidance=None)


@pytest.mark.parametrize(
    "half", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{", b"", b"HTTP/1.1 2", b"nothing\r\n\r\n"]
)
def test_a_server_that_dies_in_the_middle_of_an_answer(half):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()

        def answer():
            connection, _ = listening.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(half)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(SteeringError, match="does not answer .*call the command again"):
            Server(f"127.0.0.1:{listening.getsockname()[1]}").nodes()
        thread.join()


def test_a_server_that_is_not_there():
    with pytest.raises(SteeringError, match="does not answer"):
        Server("127.0.0.1:9").nodes()
    for address in ("", "ftp://127.0.0.1", "http://"):
        with pytest.raises(SteeringError, match="address of a ComfyUI server"):
            Server(address)
