"""Attacks on the walls: files, processes, network and kernel of the machine outside.

In: nothing. Out: programs that must not find a way, by name. They print ESCAPED where they do.
Shown by: `python -m synth.sandbox`.
Limit: ways that we know. A hole in the kernel itself is none of them.
"""

from __future__ import annotations

ESCAPES: dict[str, str] = {
    "read files of the machine": """
for path in (given["secret"], "/etc/shadow", "/etc/passwd", "/root/.ssh", "/home", "/var", "/run",
             "/boot", "/sys", "../../../../etc/shadow", given["folder"], "/mnt", "/opt", "/srv"):
    attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path).read())
""",
    "write outside the working folder": """
for folder in (given["folder"], "/", "/usr", "/usr/lib", "/usr/local/bin", "/etc", "/dev", "/var",
               "/packages", os.path.dirname(os.__file__), "../..", "/root", sys.prefix):
    attempt(folder, lambda: open(f"{folder}/written", "w").close())
attempt("change", lambda: open(os.__file__, "a").close())
attempt("remove", lambda: os.unlink(os.__file__))
attempt("mode", lambda: os.chmod("/usr/bin", 0o777))
""",
    "/proc and /sys": """
for path in ("/proc/1/root/etc/shadow", "/proc/1/environ", "/proc/self/environ", "/proc/self/mem",
             "/proc/sysrq-trigger", "/proc/sys/kernel/core_pattern", "/proc/kcore", "/proc/1/cwd",
             "/sys/kernel", "/sys/fs/cgroup", f"/proc/{given['pid']}/environ"):
    attempt(path, lambda: os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(9))
attempt("sysrq", lambda: open("/proc/sysrq-trigger", "w").write("h"))
""",
    "environment of who started it": """
attempt("environment", lambda: [1 / (given["canary"] in str(os.environ)), os.environ])
""",
    "inherited open files": """
def left_open():
    found = []
    for number in range(3, 4096):
        try:
            found.append((number, os.fstat(number)))
        except OSError:
            pass
    return found or 1 / 0
attempt("descriptors", left_open)
""",
    "TCP and UDP": """
import socket
for address in (("192.0.2.1", 80), ("127.0.0.1", given["port"]), ("10.0.0.1", 53)):
    attempt(f"tcp {address}", lambda: socket.create_connection(address, timeout=1))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", address))
attempt("tcp6", lambda: socket.create_connection(("::1", given["port"]), timeout=1))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
""",
    "DNS": """
import socket
attempt("dns", lambda: socket.getaddrinfo("example.org", 80))
""",
    "other socket families": """
import socket
for name in ("AF_NETLINK", "AF_VSOCK", "AF_PACKET", "AF_ALG", "AF_BLUETOOTH", "AF_CAN"):
    family = getattr(socket, name, None)
    if family is not None:
        attempt(name, lambda: socket.socket(family, socket.SOCK_RAW))
        attempt(name, lambda: socket.socket(family, socket.SOCK_STREAM))
""",
    "unix sockets of the machine": """
import socket
for path in (given["socket"], "\\0" + given["canary"], "/run/docker.sock", "/var/run/docker.sock",
             "/run/systemd/private", "/run/dbus/system_bus_socket"):
    attempt(path[:1] == "/", lambda: socket.socket(socket.AF_UNIX).connect(path))
""",
    "symbolic and hard links": """
os.symlink(given["secret"], "link")
attempt("read", lambda: open("link").read())
os.symlink(given["folder"], "folder")
attempt("write", lambda: open("folder/written", "w").close())
os.symlink("/", "root")
attempt("through root", lambda: open("root/etc/shadow").read())
attempt("hard link", lambda: os.link("/usr/bin/env", "hard"))
attempt("hard link", lambda: os.link(given["secret"], "hard"))
os.symlink("loop", "loop")
attempt("loop", lambda: open("loop").read())
""",
    "signals": """
import signal
for pid in (given["pid"], given["parent"], os.getpid() + 100_000):
    attempt(f"kill {pid}", lambda: os.kill(pid, signal.SIGKILL))
try:
    os.kill(1, signal.SIGKILL)
    os.kill(os.getppid(), signal.SIGTERM)
    os.kill(-1, signal.SIGKILL)
except OSError as error:
    print(error)
""",
    "ptrace and other processes' memory": """
attempt("ptrace", lambda: call("ptrace", 16, os.getppid(), 0, 0))
attempt("ptrace pid 1", lambda: call("ptrace", 16, 1, 0, 0))
attempt("process_vm_readv", lambda: call("process_vm_readv", os.getppid(), 0, 0, 0, 0, 0))
attempt("pidfd_getfd", lambda: call("pidfd_getfd", os.pidfd_open(os.getppid()), 1, 0))
""",
    "set-user-id programs": """
import shutil, subprocess
def become(command):
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return (1 / ("uid=0" in done.stdout), done.stdout)
for command in (["su", "-c", "id"], ["sudo", "-n", "id"], ["pkexec", "id"]):
    attempt(command[0], lambda: become(command))
shutil.copy("/usr/bin/id", "id")
attempt("setuid copy", lambda: (os.chmod("id", 0o6755), become(["./id"])))
attempt("setuid", lambda: os.setuid(0))
attempt("setgid", lambda: os.setgid(0))
attempt("chown", lambda: os.chown("id", 0, 0))
""",
    "mount, unshare, chroot": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def libc_call(name, *arguments):
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
attempt("mount", lambda: libc_call("mount", b"none", b"/tmp", b"tmpfs", 0, None))
attempt("remount", lambda: libc_call("mount", None, b"/usr", None, 32 | 4096, None))
attempt("umount", lambda: libc_call("umount2", b"/usr", 2))
for name, flag in (("user", 0x10000000), ("mount", 0x20000), ("net", 0x40000000)):
    attempt(f"unshare {name}", lambda: libc_call("unshare", flag))
    attempt(f"clone {name}", lambda: call("clone", flag | 17, 0, 0, 0, 0))
attempt("clone3", lambda: call("clone3", 0, 88))
attempt("chroot", lambda: os.chroot("."))
attempt("pivot_root", lambda: call("pivot_root", b".", b"."))
attempt("setns", lambda: call("setns", 0, 0))
""",
    "keyrings and kernel log": """
attempt("keyctl", lambda: call("keyctl", 0, -3, 0))
attempt("add_key", lambda: call("add_key", b"user", b"x", b"y", 1, -4))
attempt("request_key", lambda: call("request_key", b"user", b"x", 0, -4))
attempt("syslog", lambda: call("syslog", 3, 0, 0))
""",
    "risky parts of the kernel": """
for name in ("bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "kexec_load", "init_module",
             "open_by_handle_at", "name_to_handle_at", "personality", "quotactl", "reboot", "acct"):
    attempt(name, lambda: call(name, 0, 0, 0, 0, 0))
attempt("hostname", lambda: call("sethostname", b"x", 1))
import time
attempt("clock", lambda: time.clock_settime(time.CLOCK_REALTIME, 0))
""",
    "devices and terminals": """
import stat, fcntl
for path in ("/dev/mem", "/dev/kmsg", "/dev/sda", "/dev/vda", "/dev/tty", "/dev/ptmx", "/dev/kvm",
             "/dev/fuse", "/dev/net/tun"):
    attempt(path, lambda: os.open(path, os.O_RDWR))
attempt("mknod", lambda: os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(8, 0)))
for number in range(3):
    attempt(f"type into {number}", lambda: fcntl.ioctl(number, 0x5412, b"x"))
""",
}
