"""The guest's Python: paths, processes, addresses and databases as a host sees them, and nothing beyond."""

import json
import os
import time

import pytest
from sandbox.host_world import TestWorld, command, ok, python, wait_for


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


def test_absolute_paths_are_the_hosts(host):
    """A file written to an absolute path lands in the host's folder."""
    python(host, "open('/etc/motd', 'w').write('hello')")
    assert (host.root / "etc/motd").read_text() == "hello"


def test_mounted_volume_is_seen_at_its_mount_point(town, host):
    """A file below the mount point is a file of the volume, by absolute and by relative path."""
    volume_id = host.mounts.at("/srv/data").volume_id
    python(host, "import os; open('/srv/data/a', 'w').write('1'); os.chdir('/srv'); open('data/b', 'w').write('2')")
    files = town.world.volumes.get(volume_id).files
    assert ((files / "a").read_text(), (files / "b").read_text()) == ("1", "2")


def test_root_cannot_be_left_upwards(host):
    """Going up from the root stays at the root."""
    assert (
        python(host, "import os; print(os.path.exists('/../../etc/motd'), os.listdir('/..') == os.listdir('/'))")
        == "True True"
    )
    (host.root / "etc/motd").write_text("hello")


def test_writing_outside_the_state_directory_is_refused_whatever_function_tries(host, tmp_path):
    """A descriptor of a foreign folder does not help to write there."""
    text = f"import _io; _io.FileIO({str(tmp_path / 'leak')!r}, 'w')"
    result = host.run(["python3", "-c", text])
    assert "refuses a write outside its state directory" in result.stderr
    assert not (tmp_path / "leak").exists()


def test_error_names_the_guests_path(host):
    """An error message shows the path as the script gave it."""
    text = "\ntry:\n open('/no/such')\nexcept OSError as e:\n print(e.filename)"
    assert python(host, text) == "/no/such"


def test_absolute_symbolic_link_stays_on_the_host(host):
    """A link to an absolute path leads to that path of the host, not of the machine."""
    text = (
        "import os; open('/etc/target','w').write('guest'); "
        "os.path.lexists('/etc/link') or os.symlink('/etc/target','/etc/link'); "
        "print(open('/etc/link').read(), os.readlink('/etc/link'))"
    )
    assert python(host, text) == "guest /etc/target"


def test_link_into_a_mount_is_followed(host):
    """A link on the root disk that points into a mount shows the volume's file."""
    text = (
        "import os; open('/srv/data/deep','w').write('v'); os.symlink('srv/data','/short'); "
        "print(open('/short/deep').read())"
    )
    assert python(host, text) == "v"


def test_scandir_and_walk_give_the_hosts_paths(host):
    """Directory entries carry the host's path, and walking crosses into the volume."""
    text = (
        "import os; open('/srv/data/x','w').close(); "
        "print([e.path for e in os.scandir('/srv')], [b for b, _, n in os.walk('/srv') if 'x' in n])"
    )
    assert python(host, text) == "['/srv/data'] ['/srv/data']"


def test_getcwd_is_the_hosts(host):
    """The current folder is named as on the host."""
    assert python(host, "import os; os.chdir('/srv/data'); print(os.getcwd())") == "/srv/data"


def test_ismount_knows_the_mount_table(host):
    """Only mount points are mount points."""
    assert (
        python(host, "import os; print(os.path.ismount('/srv/data'), os.path.ismount('/srv'), os.path.ismount('/'))")
        == "True False True"
    )


def test_statvfs_shows_the_volumes_size(host):
    """A volume of 8 GiB has 8 GiB, less what its files take."""
    text = (
        "import os; open('/srv/data/big','wb').write(b'x'*5000000); s=os.statvfs('/srv/data'); "
        "print(s.f_blocks*s.f_frsize, s.f_bfree<s.f_blocks)"
    )
    assert python(host, text) == f"{8 << 30} True"


def test_statvfs_does_not_mind_what_vanishes(host):
    """A database removes its journal while somebody asks how full the volume is."""
    text = """
import os, signal
if not (child := os.fork()):
    while True:
        for number in range(50):
            open(f"/srv/data/journal-{number}", "wb").close()
        for number in range(50):
            os.unlink(f"/srv/data/journal-{number}")
try:
    for _ in range(500):
        os.statvfs("/srv/data")
finally:
    os.kill(child, signal.SIGKILL)
print("answered")
"""
    assert python(host, text) == "answered"


def test_read_only_mount_refuses_writing(town, host):
    """A mount with ro can be read and not written."""
    town.volume(host)
    (host.root / "mnt/ro").mkdir(parents=True)
    ok(host, "mount", "-o", "ro", "/dev/sdg", "/mnt/ro")
    text = """
import os
print(os.listdir('/mnt/ro'))
try:
    open('/mnt/ro/x', 'w')
except OSError as error:
    print(error.strerror)
"""
    assert python(host, text) == "['lost+found']\nRead-only file system"


def test_only_the_hosts_processes_are_visible(town, host):
    """A listing of /proc holds this host's processes and none of the machine or of another host."""
    other = town.host()
    seen = json.loads(
        python(host, "import os, json; print(json.dumps([int(p) for p in os.listdir('/proc') if p.isdigit()]))")
    )
    assert os.getpid() not in seen
    assert len(seen) == 1
    text = f"import os; print(os.path.exists('/proc/{os.getpid()}/fd'))"
    assert python(other, text) == "False"


def test_open_file_of_another_process_is_shown_with_the_hosts_path(host):
    """The link of an open file on the volume reads as below the mount point."""
    text = """
import os, subprocess, sys
text = 'f = open("/srv/data/held", "w"); print("go", flush=True); input()'
child = subprocess.Popen([sys.executable, '-c', text], stdin=-1, stdout=-1)
child.stdout.readline()
folder = f'/proc/{child.pid}/fd'
print([l for l in (os.readlink(f'{folder}/{n}') for n in os.listdir(folder)) if 'held' in l])
child.communicate(b'\\n')
"""
    assert python(host, text) == "['/srv/data/held']"


def test_signals_reach_only_the_hosts_processes(host):
    """Killing a process of the machine fails as if it did not exist."""
    text = f"import os\ntry:\n os.kill({os.getpid()}, 0)\nexcept ProcessLookupError:\n print('no such process')"
    assert python(host, text) == "no such process"


def test_python_script_runs_as_a_program_through_its_first_line(host):
    """A script with a python3 line runs mapped, by path and with arguments."""
    script = host.root / "usr/local/bin/tool"
    script.write_text("#!/usr/bin/python3\nimport sys\nprint(open('/etc/hostname').read().strip(), sys.argv)\n")
    script.chmod(0o755)
    text = "import subprocess; print(subprocess.run(['tool', 'a b'], capture_output=True, text=True).stdout)"
    assert python(host, text).strip() == f"{host.hostname} ['/usr/local/bin/tool', 'a b']"


def test_programs_of_the_machine_cannot_be_started(host):
    """There is no shell and no other program of the machine."""
    text = """
import subprocess
for argv in (['/bin/sh', '-c', 'true'], ['ls']):
    try:
        subprocess.run(argv)
    except FileNotFoundError as error:
        print('none')
"""
    assert python(host, text) == "none\nnone"


def test_child_without_environment_stays_on_the_host(host):
    """A child process that is given an empty environment still sees the host and its commands."""
    text = """
import subprocess, sys
inner = 'print(open("/etc/hostname").read().strip())'
print(subprocess.run([sys.executable, '-c', inner], env={}, capture_output=True, text=True).stdout.strip())
"""
    assert python(host, text) == host.hostname


def test_host_commands_are_programs(host):
    """A guest script runs findmnt as on AWS and reads its JSON."""
    text = (
        "import subprocess, json; "
        "print(json.loads(subprocess.run(['findmnt','--json','-o','TARGET,FSTYPE','--mountpoint','/srv/data'],capture_output=True,check=True).stdout)['filesystems'])"
    )
    assert python(host, text) == "[{'target': '/srv/data', 'fstype': 'ext4'}]"


def test_unknown_option_of_a_host_command_fails_loudly(host):
    """A command never ignores what it does not know."""
    result = command(host, "umount", "--lazy", "/srv/data")
    assert (result.exit_code, "unknown flag: --lazy" in result.stderr) == (1, True)


def test_sqlite_opens_the_hosts_path(host):
    """A database is made on the volume, by path and by URI."""
    text = """
import sqlite3
c = sqlite3.connect('/srv/data/db'); c.execute('create table t(a)'); c.execute('insert into t values(7)')
c.commit(); c.close()
d = sqlite3.connect('file:/srv/data/db?mode=ro', uri=True); print(d.execute('select a from t').fetchone()); d.close()
"""
    assert python(host, text) == "(7,)"
    assert host.real_path("/srv/data/db").stat().st_size > 0


def test_sqlite_cannot_attach_an_unmapped_path(host, tmp_path):
    """ATTACH and VACUUM INTO with an absolute path are refused, since SQLite would open it unmapped."""
    text = f"import sqlite3; sqlite3.connect(':memory:').execute(\"attach '{tmp_path}/x' as y\")"
    assert "not authorized" in host.run(["python3", "-c", text]).stderr
    assert not (tmp_path / "x").exists()


def test_binding_all_addresses_takes_the_hosts_own(host):
    """Two hosts can listen on the same port."""
    text = "import socket; s=socket.socket(); s.bind(('0.0.0.0', 0)); print(s.getsockname()[0]); s.close()"
    assert python(host, text) == host.address


def test_nothing_but_loopback_can_be_reached(host):
    """A connection to the world is refused as unreachable."""
    text = "import socket\ntry:\n socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError as e:\n print(e)"
    assert "Network is unreachable" in python(host, text)


def test_temporary_files_and_forks_work(host):
    """Tempfile and fork, which host scripts use, stay on the host."""
    text = """
import os, tempfile
with tempfile.TemporaryFile() as a, tempfile.NamedTemporaryFile() as b:
    print(b.name.startswith('/tmp/'))
pid = os.fork()
if pid == 0:
    open('/tmp/child', 'w').write('from the child'); os._exit(0)
os.waitpid(pid, 0)
print(open('/tmp/child').read())
"""
    assert python(host, text) == "True\nfrom the child"
    assert (host.root / "tmp/child").exists()


def test_guest_python_starts_fast(host):
    """Ten starts take well under three seconds even on a busy machine."""
    began = time.monotonic()
    for _ in range(10):
        python(host, "pass")
    assert time.monotonic() - began < 3


def test_container_process_shows_its_own_view_through_proc_root(town, host):
    """/proc/PID/root of a container leads to the container's files and to its volume."""
    ok(host, "docker", "run", "-d", "--name", "look", "-v", "/srv/data:/data", "registry.sandbox/files:1.0")
    pid = wait_for(lambda: host.engine.inspect("look").pid)
    python(host, "open('/srv/data/mark', 'w').write('seen')")
    text = (
        f"import os; root = '/proc/{pid}/root'; print(open(root + '/data/mark').read(), "
        "os.path.exists(root + '/app/wait.py'), os.path.exists(root + '/etc/fstab'))"
    )
    assert python(host, text) == "seen True False"
    mounts = python(host, f"print(open('/proc/{pid}/mountinfo').read())")
    assert "/data rw" in mounts
    ok(host, "docker", "rm", "-f", "look")
