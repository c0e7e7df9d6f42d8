"""Attacks on what the machine has: processes, memory, disk, output, time, open files.

In: nothing. Out: programs that the sandbox must stop, by name, and the limits that may do so.
Shown by: `python -m synth.sandbox`. Limit: Python programs; a C program asks the same kernel.
"""

from __future__ import annotations

# name -> (program, the values of Outcome.why that show it was stopped; "" where it ends by itself)
RESOURCES: dict[str, tuple[str, tuple[str, ...]]] = {
    "fork bomb": (
        """
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
        ("processes",),
    ),
    "thread bomb": (
        """
import threading, time
threading.stack_size(1 << 16)
while True:
    try:
        threading.Thread(target=time.sleep, args=(60,)).start()
    except (RuntimeError, MemoryError):
        pass
""",
        ("processes",),
    ),
    "memory hog": (
        """
kept = []
while True:
    kept.append(bytearray(1 << 24))
""",
        ("memory",),
    ),
    "memory hog in many processes": (
        """
import time
for _ in range(6):
    if os.fork() == 0:
        kept = bytearray(b"x") * (60 << 20)
        time.sleep(60)
time.sleep(60)
""",
        ("memory",),
    ),
    "memory hog in shared pages": (
        """
import mmap
kept = mmap.mmap(-1, 1 << 30)
for start in range(0, len(kept), 4096):
    kept[start] = 1
print("ESCAPED: a gigabyte of shared memory")
""",
        ("memory",),
    ),
    "memory that belongs to no process": (
        """
import ctypes
attempt("memfd", lambda: os.memfd_create("x"))
for name in ("shmget", "msgget", "semget", "mq_open"):
    attempt(name, lambda: call(name, 0, 1 << 28, 0o1777))
""",
        ("",),
    ),
    "fill the disk": (
        """
def fill(folder):
    total = 0
    for number in range(10_000):
        with open(f"{folder}/{number}", "wb", buffering=0) as handle:
            while True:
                total += handle.write(bytes(1 << 16))
                if total > given["disk"]:
                    return total
for folder in (".", "/tmp", "/dev/shm", "/", "/dev", "/packages", "/usr", "/var/tmp", "/run"):
    attempt(f"fill {folder}", lambda: fill(folder))
""",
        ("",),
    ),
    "one file beyond the disk": (
        """
attempt("truncate", lambda: os.truncate(os.open("big", os.O_CREAT | os.O_RDWR), 1 << 40))
def more_than_the_disk():
    written = os.write(os.open("big2", os.O_CREAT | os.O_RDWR), bytes(1 << 24))
    return written > given["disk"] or 1 / 0
attempt("write", more_than_the_disk)
attempt("stdin", lambda: os.write(0, bytes(1 << 20)))
""",
        ("",),
    ),
    "millions of empty files": (
        """
for number in range(10_000_000):
    os.close(os.open(f"f{number}", os.O_CREAT | os.O_WRONLY))
""",
        ("memory",),
    ),
    "endless output": ("while True:\n    print('x' * 70)\n", ("output",)),
    "endless errors": ("while True:\n    print('x' * 70, file=sys.stderr)\n", ("output",)),
    "one endless line": (
        """
while True:
    os.write(1, b"x" * 65536)
""",
        ("output",),
    ),
    "infinite loop": ("while True:\n    pass\n", ("time",)),
    "sleep for ever": ("import time\ntime.sleep(10_000)\n", ("time",)),
    "deadlock": (
        "import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()\n",
        ("time",),
    ),
    "loop that ignores every signal": (
        """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
while True:
    pass
""",
        ("time",),
    ),
    "work spread over short-lived children": (
        """
import signal, time
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
while True:
    if os.fork() == 0:
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        os._exit(0)
    time.sleep(0.06)
""",
        ("time", "processes"),
    ),
    "sleep with stdin, stdout and stderr closed": (
        """
import time
os.closerange(0, 3)
time.sleep(10_000)
""",
        ("time",),
    ),
    "open-file exhaustion": (
        """
def exhaust():
    kept = []
    while len(kept) < 10_000:
        kept.append(open("/dev/null"))
attempt("ten thousand open files", exhaust)
""",
        ("",),
    ),
    "raise its own limits": (
        """
import resource
for name in ("CPU", "NPROC", "DATA", "AS", "FSIZE", "NOFILE"):
    kind = getattr(resource, f"RLIMIT_{name}")
    most = resource.getrlimit(kind)[1]
    attempt(name, lambda: resource.setrlimit(kind, (most + 1, most + 1)))
attempt("priority", lambda: os.nice(-10))
attempt("real time", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))
""",
        ("",),
    ),
    "child that outlives the run": (
        """
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 3)
        time.sleep(10_000)
    os._exit(0)
""",
        ("",),
    ),
    "endless recursion in C": (
        """
import ctypes
sys.setrecursionlimit(10**9)
nested = []
for _ in range(3 * 10**5):
    nested = [nested]
repr(nested)
""",
        ("", "memory", "time"),
    ),
    "bytes that are no text": ("os.write(1, bytes(range(256)) * 10)\n", ("",)),
}
