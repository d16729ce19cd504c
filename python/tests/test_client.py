import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from conftest import MODEL, python

import narrow
from narrow._client import Client, array


@pytest.fixture
def client():
    c = Client()
    yield c
    c.close()


def gone(pid, seconds=5):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            with open(f"/proc/{pid}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] == "Z":
                    return True
        except FileNotFoundError:
            return True
        time.sleep(0.05)
    return False


def test_arrays_of_every_type_come_back(client):
    model, _ = client.request("open", {"path": str(MODEL)})
    session, _ = client.request("session", {"model": model["handle"]})
    x = np.zeros((3, 1, 28, 28), np.float32)
    _, out = client.request("run", {"session": session["handle"]}, [array("image", x[:, :, ::-1])])
    assert out[0].data.shape == (3, 10)
    assert out[0].data.flags.writeable
    with pytest.raises(TypeError, match="cannot be sent"):
        array("image", np.array(["a"]))


def test_a_dead_child_is_an_exception_that_says_why(client):
    os.kill(client._process.pid, signal.SIGKILL)
    with pytest.raises(narrow.ChildError, match="SIGKILL"):
        client.request("hello")
    with pytest.raises(narrow.ChildError, match="has ended"):
        client.request("hello")


def test_another_program_is_told_from_narrow(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.write_text("#!/bin/sh\necho 'hello, this is another program'\nexit 3\n")
    other.chmod(0o755)
    monkeypatch.setenv("NARROW_BIN", str(other))
    with pytest.raises(narrow.ChildError, match="does not speak|ended with exit code 3"):
        Client()
    monkeypatch.setenv("NARROW_BIN", str(tmp_path / "missing"))
    with pytest.raises(narrow.NarrowError, match="no file"):
        Client()


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_child_ends_with_a_parent_that_is_killed_though_a_fork_lives_on(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(
        "import os, time\n"
        "from narrow._client import Client\n"
        "c = Client()\n"
        "if os.fork() == 0:\n"
        "    time.sleep(60)\n"  # as a worker of a DataLoader would hold copies of the pipes
        "    os._exit(0)\n"
        "print(c._process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    assert gone(child)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_child_ends_where_python_does(tmp_path):
    done = python(["-c", "from narrow._client import Client; c = Client(); print(c._process.pid)"])
    assert gone(int(done.stdout))


def test_a_fork_begins_a_conversation_of_its_own(pictures):
    with narrow.Session(str(MODEL)) as session:
        want = session.run(pictures[:4])[0]
        read, write = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                got = session.run(pictures[:4])[0]
                os.write(write, b"same" if np.array_equal(got, want) else b"other")
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(read, 10) == b"same"
        assert np.array_equal(session.run(pictures[:4])[0], want)


def test_threads_take_turns(pictures):
    with narrow.Session(str(MODEL)) as session:
        want = [session.run(pictures[i : i + 5])[0] for i in range(0, 40, 5)]
        wrong = []

        def work(i):
            for _ in range(10):
                if not np.array_equal(session.run(pictures[5 * i : 5 * i + 5])[0], want[i]):
                    wrong.append(i)

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert not wrong


def test_ctrl_c_stops_soon_and_leaves_nothing(tmp_path):
    script = tmp_path / "long.py"
    script.write_text(
        "import numpy as np, narrow, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job begins with it ignored\n"
        "def batches():\n"
        "    x = np.random.default_rng(0).random((64, 1, 28, 28), dtype=np.float32)\n"
        "    for i in range(400):\n"
        "        yield x\n"
        "    print('calibrating', flush=True)\n"
        "try:\n"
        f"    narrow.calibrate({str(MODEL)!r}, batches(), output_dir='out')\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped', flush=True)\n"
    )
    before = set(os.listdir("/tmp"))
    p = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, env=dict(os.environ))
    assert p.stdout.readline() == "calibrating\n"
    time.sleep(0.5)
    start = time.monotonic()
    p.send_signal(signal.SIGINT)
    assert p.stdout.readline() == "stopped\n"
    assert time.monotonic() - start < 5  # a second, on a machine that does nothing else
    p.wait()
    assert not os.path.exists("out/quant_info.json")
    assert not [n for n in set(os.listdir("/tmp")) - before if n.startswith("narrow-samples")]


def test_an_error_within_a_callback_leaves_the_conversation_usable(client):
    model, _ = client.request("open", {"path": str(MODEL)})
    plan, _ = client.request("resolve", {"model": model["handle"]})
    samples, _ = client.request("samples", {"model": model["handle"]})
    for _ in range(50):
        client.request("add", {"samples": samples["handle"]}, [array("image", np.ones((16, 1, 28, 28), np.float32))])

    def progress(_message):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        client.request("calibrate", {"plan": plan["handle"], "samples": samples["handle"]}, progress=progress)
    if client.usable:  # the request was cancelled in time
        assert client.request("hello")[0]["version"]
