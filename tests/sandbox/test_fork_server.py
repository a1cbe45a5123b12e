"""The fork server: a forked process is what a started one would be, to itself, to its host and to whoever ends it."""

import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
from sandbox.host_world import TestWorld, python, wait_for

from runbook_lib.sandbox.processes import marked


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    """Return a world, shared by the tests of this module."""
    town = TestWorld(tmp_path_factory.mktemp("world"))
    yield town
    town.close()


@pytest.fixture(scope="module")
def host(town):
    """Return a booted host with a volume mounted at /srv/data."""
    host = town.host()
    town.volume(host, "/srv/data")
    return host


def begin(host, text):
    """Start Python on a host and return it without waiting."""
    with Path(os.devnull).open("r+b") as nothing:
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), nothing.fileno())
        argv = host.command(["python3", "-c", text])
        return host.world.forks.start_process(argv, env=host.environment(), cwd=host.root, **pipes)


@pytest.mark.parametrize(
    ("text", "code", "stderr"),
    [
        ("pass", 0, ""),
        ("import sys; sys.exit(3)", 3, ""),
        ("import sys; sys.exit('no way')", 1, "no way\n"),
        ("raise SystemExit", 0, ""),
        ("import os; os._exit(5)", 5, ""),
        ("import os; os.kill(os.getpid(), 15)", 143, ""),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
    ],
)
def test_exit_code_is_that_of_an_interpreter(host, text, code, stderr):
    """Every way for a program to end gives the code and the words that it would give anywhere."""
    result = host.run(["python3", "-c", text])
    assert (result.exit_code, result.stderr[-len(stderr) :] if stderr else result.stderr) == (code, stderr)


def test_uncaught_exception_is_printed(host):
    """A program that fails says where, as its last words."""
    result = host.run(["python3", "-c", "def f():\n    raise ValueError('seven')\nf()"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Traceback (most recent call last):")
    assert result.stderr.endswith("ValueError: seven\n")


def test_what_is_due_at_the_end_happens(host):
    """Threads are waited for, exit functions run, and buffers are written, in this order."""
    text = (
        "import atexit, threading, time; print('main'); atexit.register(print, 'at exit'); "
        "threading.Thread(target=lambda: (time.sleep(0.1), print('thread'))).start()"
    )
    assert python(host, text) == "main\nthread\nat exit"


def test_standard_input_and_output_of_any_length(host):
    """Three megabytes go in and out, and errors go where errors go."""
    text = "import sys; t = sys.stdin.read(); sys.stdout.write(t); sys.stderr.write(str(len(t)))"
    given = b"0123456789abcdef" * 200_000
    result = host.run(["python3", "-c", text], stdin=given)
    assert (result.stdout.encode(), result.stderr) == (given, str(len(given)))


def test_program_that_does_not_read_its_input(host):
    """Input that nobody wants is no error."""
    assert host.run(["python3", "-c", "print('done')"], stdin=b"x" * 1_000_000).stdout == "done\n"


def test_environment_is_the_given_one(host):
    """A process has what it is given and nothing of the server or of the process before."""
    first = "import os; os.environ['LEFT_BEHIND'] = '1'; print(os.environ.get('GIVEN'))"
    assert host.run(["python3", "-c", first], env={"GIVEN": "yes"}).stdout == "yes\n"
    names = python(host, "import os; print(*sorted(os.environ))").split()
    marks = ["RUNBOOK_SANDBOX_API", "RUNBOOK_SANDBOX_HOST", "RUNBOOK_SANDBOX_STATE", "RUNBOOK_SANDBOX_VIEW"]
    assert names == ["HOME", "LANG", "PATH", *marks, "TZ", "USER"]


def test_proc_shows_what_a_process_is(host):
    """Whoever looks into /proc finds the process's own command line and its host's mark, its children included."""
    process = begin(host, "import os, time; os.fork(); time.sleep(60)")
    mine = wait_for(lambda: (found := marked(host.mark)) and len(found) == 2 and found)
    assert process.pid in mine
    words = Path(f"/proc/{process.pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
    assert words[0].endswith(b"/host-bin/python3")
    assert words[1:] == [b"-c", b"import os, time; os.fork(); time.sleep(60)"]
    entries = Path(f"/proc/{process.pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    assert sorted(entries) == sorted(f"{name}={value}".encode() for name, value in host.environment().items())
    os.killpg(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    assert wait_for(lambda: not marked(host.mark))


def test_command_line_and_environment_longer_than_their_room(host):
    """What does not fit is cut, the marks are not."""
    process = begin(host, f"import time; time.sleep(60) #{'x' * 50_000}")
    assert marked(host.mark) == [process.pid]
    assert len(Path(f"/proc/{process.pid}/cmdline").read_bytes()) < 10_000
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    text = "import os; print(len(os.environ['LONG']), os.environ['RUNBOOK_SANDBOX_HOST'])"
    result = host.run(["python3", "-c", text], env={"LONG": "x" * 50_000})
    assert result.stdout.split() == ["50000", str(host.folder)]


def test_timeout_kills_the_whole_group(host):
    """A command that takes too long is killed with the commands and processes it started."""
    text = "import os, subprocess, time; os.fork(); time.sleep(60)"
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"did not end within 0\.5 s"):
        host.run(["python3", "-c", text], timeout_s=0.5)
    assert time.monotonic() - began < 30
    assert wait_for(lambda: not marked(host.mark))


def test_output_is_waited_for_until_nobody_can_write_any_more(host):
    """A child that outlives its parent still prints into the answer, as with a pipe to a started program."""
    text = "import os, time\nif os.fork() == 0:\n    time.sleep(0.3); print('late')\n"
    assert python(host, text) == "late"


def test_host_command_of_a_script_is_a_process_of_its_own(host):
    """A command has its own process id, folder and session, and can be killed alone and with its group."""
    text = """
import subprocess, os
argv = ['docker', 'exec', '-i', 'none', 'cat']
child = subprocess.Popen(argv, stdin=-1, stdout=-1, stderr=-1, start_new_session=True)
parent = open(f'/proc/{child.pid}/stat').read().split()[3]
print(child.pid != os.getpid(), os.getsid(child.pid) == child.pid, parent == str(os.getpid()))
os.killpg(child.pid, 9)
print(child.wait())
print(subprocess.run(['true'], cwd='/srv/data').returncode, subprocess.run(['false']).returncode)
try:
    subprocess.run(['true'], cwd='/no/such')
except FileNotFoundError as error:
    print('no folder')
"""
    assert python(host, text) == "True True True\n-9\n0 1\nno folder"


def test_host_command_inherits_nothing_open(host):
    """A pipe of the script is not kept open by a command that it starts."""
    text = """
import os, subprocess
read, write = os.pipe()
child = subprocess.Popen(['docker', 'exec', '-i', 'none', 'cat'], stdin=-1, stdout=-1, stderr=-1)
os.close(write)
print(os.read(read, 1))
child.kill(); child.communicate()
"""
    assert python(host, text) == "b''"


def test_host_commands_of_many_threads(host):
    """Commands that threads start at the same time do not disturb each other."""
    text = """
import subprocess
from concurrent.futures import ThreadPoolExecutor
def ask(number):
    argv = ['findmnt', '--noheadings', '-o', 'TARGET', '/srv/data']
    return subprocess.run(argv, capture_output=True, text=True).stdout.strip()
with ThreadPoolExecutor(8) as pool:
    print(set(pool.map(ask, range(40))))
"""
    assert python(host, text) == "{'/srv/data'}"


def test_many_processes_at_once(host):
    """Starts from many threads each get their own answer."""
    answers: dict[int, str] = {}

    def ask(number):
        answers[number] = python(host, f"print({number})")

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: str(number) for number in range(20)}


def test_wait_with_a_time_limit(host):
    """Waiting for a process that still runs ends in time, and asking does not wait."""
    process = begin(host, "import time; time.sleep(60)")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.05)
    process.send_signal(signal.SIGTERM)
    assert (process.wait(10), process.poll()) == (-signal.SIGTERM, -signal.SIGTERM)


def test_folder_that_is_not_there(host):
    """A process that cannot begin is refused with the reason."""
    with pytest.raises(FileNotFoundError, match="No such file or directory"):
        host.world.forks.run(host.command(["python3"]), env=host.environment(), cwd=host.root / "no/such", timeout_s=10)


def test_processes_do_not_survive_their_server(tmp_path):
    """When the server is gone nobody can tell how a process ends: it is killed and counts as killed; nothing begins."""
    town = TestWorld(tmp_path / "world")
    try:
        host = town.host()
        process = begin(host, "import time; time.sleep(60)")
        status = Path(f"/proc/{process.pid}/stat").read_text()
        os.kill(int(status.rpartition(")")[2].split()[1]), signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
        assert wait_for(lambda: not marked(host.mark))
        with pytest.raises(BrokenPipeError):
            host.run(["python3", "-c", "pass"])
    finally:
        town.close()


def test_text_that_was_compiled_before_runs_the_same(host):
    """A text is compiled once; its name, its lines and what its caller imported from __future__ are as before."""
    text = """
import traceback
long = "def f(a: unknown): raise ValueError('seven')\\n" + "x = 1\\n" * 500
def attempt(first):
    space = {}
    try:
        exec(f"{first}\\nexec(compile(long, 'long.py', 'exec'), space)", {"long": long, "space": space})
        print(space["f"].__annotations__, space["f"].__code__.co_filename, space["f"].__code__.co_firstlineno)
    except NameError as error:
        print(error)
for _ in range(2):
    attempt("from __future__ import annotations")
    attempt("")
"""
    lines = ["{'a': 'unknown'} long.py 1", "name 'unknown' is not defined"]
    assert python(host, text).splitlines() == lines * 2
    kept = set(host.world.guest_dir.glob("compiled/*"))
    assert kept
    assert python(host, text).splitlines() == lines * 2
    assert set(host.world.guest_dir.glob("compiled/*")) == kept


def test_text_that_does_not_compile_is_refused_every_time(host):
    """Nothing is kept of a text with an error."""
    text = (
        "\ntry:\n compile('x = 1\\n' * 500 + 'def', 'a.py', 'exec')\nexcept SyntaxError as error:\n print(error.lineno)"
    )
    assert [python(host, text) for _ in range(2)] == ["501", "501"]
