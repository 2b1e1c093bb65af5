"""Who is measured: each does a step (report.STEPS) in its own way and says what it took, as a dictionary of

    seconds     of the whole, or of one operation
    warm        the same once more, where the first time was cold
    p99         of operations
    cpu         seconds of processor time of one operation: of the daemon, or of the program that does without one
    memory      bytes of a daemon for one znode, once it has done this

or None if it cannot do that; seconds are None if what was waited for never came."""
import os
import resource
import shutil
import subprocess
import tempfile
import time

# What timing.h and tree.h say.
SIZE, FANOUT, UNCOUNTED = 100, 100, 100
# Operations of one round: reads, writes, changes by others.
READS, WRITES, CHANGES = 5000, 1000, 200
WINDOW = 256
START_LIMIT = 60  # seconds until something must be mounted


class Failure(Exception):
    """What the user is told, in one line."""


def run(command, status=0, **options):
    """What it printed, with that exit status."""
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False, **options)
    if done.returncode != status:
        raise Failure("'%s' failed" % " ".join(command))
    return done.stdout


def times(printed):
    """What timing_print() has printed, or "none"."""
    if printed.strip() == b"none":
        return {"seconds": None, "p99": None}
    median, p99, _mean = map(float, printed.split())
    return {"seconds": median, "p99": p99}


class Setting:
    """One tree, in ZooKeeper and in tmpfs: tree/ is walked, file is overwritten, new/WHO/ gets new files."""

    def __init__(self, options, servers, client, scratch, znode, files):
        self.servers, self.client, self.scratch, self.znode, self.files = servers, client, scratch, znode, files
        self.nodes = files + files // FANOUT + 1
        # Whoever awaits each request walks no further, and what that took is extrapolated: it is the same for each znode.
        self.patience = min(self.nodes, 10000)
        self.zkfs, self.bare, self.files_program, self.nullfs = (
            os.path.join(options.build, name) for name in ("zkfs", "bench/bare", "bench/files", "bench/nullfs"))
        self.tmpfs_root, self.is_foreign = options.tmpfs, bool(options.servers)
        self.tmpfs = None

    def make(self, stack):
        """Until the stack unwinds."""
        who = ("zkfs", "passthrough", "tmpfs", "bare", "bare256", "Kazoo", "remote")
        self.tmpfs = tempfile.mkdtemp(prefix="zkfs-bench.", dir=self.tmpfs_root)
        stack.callback(shutil.rmtree, self.tmpfs)
        for name in who:
            os.makedirs(os.path.join(self.tmpfs, "new", name))
            os.makedirs(os.path.join(self.tmpfs, "locks", name))
        os.mkdir(os.path.join(self.tmpfs, "tree"))
        with open(os.path.join(self.tmpfs, "file"), "wb") as file:
            file.write(b"x" * SIZE)
        run([self.files_program, "make", os.path.join(self.tmpfs, "tree"), str(self.files)])

        if self.is_foreign:
            stack.callback(self.client.delete, self.znode, recursive=True)
            stack.callback(subprocess.run, [self.bare, self.servers, "remove", self.znode + "/tree", str(self.files)],
                           check=False)
        self.client.create(self.znode)
        for name in who:
            self.client.ensure_path("%s/new/%s" % (self.znode, name))
            self.client.ensure_path("%s/locks/%s" % (self.znode, name))
        self.client.create(self.znode + "/file", b"x" * SIZE)
        run([self.bare, self.servers, "make", self.znode + "/tree", str(self.files)])


class Directory:
    """Does it with files, below a directory."""

    def __init__(self, name, setting, path):
        self.name, self.setting, self.path = name, setting, path

    def measure(self, step):
        return getattr(self, step.replace("+", "_").replace("-", "_"), lambda: None)()

    def cpu_clock(self):
        """Seconds that a daemon has worked; None without one."""
        return None

    def timed_walk(self, command, status=0):
        """Seconds; checks what was seen."""
        setting = self.setting
        before, begun = self.cpu_clock(), time.perf_counter()
        printed = run(command, status, cwd=os.path.join(self.path, "tree"))
        measured = {"seconds": time.perf_counter() - begun}
        if before is not None:
            measured["cpu"] = (self.cpu_clock() - before) / setting.nodes
        seen, expected = ((len(printed), setting.files * SIZE) if command[-1] == "+" else
                          (printed.count(b"\n"), setting.files if command[0] == "grep" else setting.nodes))
        if seen != expected:
            raise Failure("%s: '%s' saw %d, not %d" % (self.name, " ".join(command), seen, expected))
        return measured

    def walk_files(self):
        return self.timed_walk(["find", "."])

    def walk_data(self):
        return self.timed_walk(["find", ".", "-type", "f", "-exec", "cat", "{}", "+"])

    def walk_grep(self):
        return self.timed_walk(["grep", "-rc", "no such text", "."], 1)

    def find(self):
        return self.cold_and_warm(self.walk_files)

    def cat(self):
        return self.cold_and_warm(self.walk_data)

    def grep(self):
        return self.cold_and_warm(self.walk_grep)

    def cold_and_warm(self, walk):
        measured = walk()
        return {**measured, "warm": measured["seconds"]}

    def operations(self, mode, place, count, *numbers):
        before = self.cpu_clock()
        measured = times(run([self.setting.files_program, mode, os.path.join(self.path, place), str(count),
                              *map(str, numbers)]))
        if before is not None:
            measured["cpu"] = (self.cpu_clock() - before) / (UNCOUNTED + count)
        return measured

    def stat(self):
        return self.operations("stat", "tree", READS, self.setting.files)

    def absent(self):
        return self.operations("absent", "tree", READS, self.setting.files)

    def pread(self):
        return self.operations("pread", "tree", READS, self.setting.files)

    def list(self):
        return self.operations("list", "tree", READS, self.setting.files)

    def open_read_close(self):
        return self.operations("read", "tree", READS, self.setting.files)

    def read_only(self):
        return self.open_read_close()

    def overwrite(self):
        return self.operations("overwrite", "file", WRITES)

    def create(self):
        return self.operations("create", "new/" + self.name, WRITES)

    def unlink(self):
        return self.operations("unlink", "new/" + self.name, WRITES)

    def lock(self):
        return self.operations("lock", "file", WRITES)

    def lock_directory(self):
        return self.operations("lock", "locks/" + self.name + "/.data", WRITES)

    def lock_directory_1(self):
        return self.lock_directory()


class Mount(Directory):
    """A filesystem in a process. It is mounted anew for cold steps, so that nothing is cached in it or the kernel."""

    def __init__(self, name, setting, command, stack):
        super().__init__(name, setting, os.path.join(setting.scratch, name))
        self.command, self.daemon, self.is_warm = command, None, False
        os.mkdir(self.path)
        self.log = stack.enter_context(open(self.path + ".log", "w+", encoding="utf-8"))
        stack.callback(os.remove, self.path + ".log")
        stack.callback(os.rmdir, self.path)
        stack.callback(self.unmount)

    def mount(self):
        self.unmount()
        # It is no business of Ctrl-C: we end it.
        self.daemon = subprocess.Popen([*self.command, self.path], start_new_session=True, stderr=self.log)
        limit = time.monotonic() + START_LIMIT
        while not os.path.ismount(self.path):
            if self.daemon.poll() is not None or time.monotonic() > limit:
                self.log.seek(0)
                raise Failure("cannot mount %s: %s" % (self.name, self.log.read().strip() or "it takes too long"))
            time.sleep(0.001)

    def unmount(self):
        if not self.daemon:
            return
        self.is_warm = False
        self.daemon.terminate()
        try:
            self.daemon.wait(10)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        if os.path.ismount(self.path) or self.daemon.returncode < 0:
            subprocess.run(["fusermount3", "-uz", self.path], check=False, stderr=subprocess.DEVNULL)
        self.daemon = None

    def cpu_clock(self):
        # The clock of all threads of another process, in ns where /proc/PID/stat has ticks of 10 ms: clock_getcpuclockid(3).
        return time.clock_gettime(~self.daemon.pid << 3 | 2)

    def memory(self):
        with open("/proc/%d/smaps_rollup" % self.daemon.pid, encoding="ascii") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))

    def cold_and_warm(self, walk):
        self.mount()
        before = self.memory()
        measured = walk()
        measured["memory"] = (self.memory() - before) / self.setting.nodes
        measured["warm"] = walk()["seconds"]
        return measured

    def cat(self):
        measured = super().cat()
        self.is_warm = True
        return measured

    def operations(self, mode, place, count, *numbers):
        self.warm_up()
        return super().operations(mode, place, count, *numbers)

    def warm_up(self):
        if not self.is_warm:
            self.mount()
            self.walk_data()
            self.is_warm = True


class Zkfs(Mount):
    """The one that it is about; somebody else's changes become visible in it. It may have a read-only mount beside it."""

    def __init__(self, name, setting, command, stack, read_only=None):
        super().__init__(name, setting, command, stack)
        self.beside = read_only

    def read_only(self):
        return self.beside and self.beside.open_read_close()

    def remote(self, mode, znode, path):
        self.warm_up()
        setting = self.setting
        return times(run([setting.bare, setting.servers, mode, setting.znode + znode, str(CHANGES), self.path + path]))

    def visible(self):
        return self.remote("visible", "/file", "/file")

    def modified(self):
        return self.remote("modified", "/file", "/file")

    def created(self):
        return self.remote("created", "/new/remote", "/new/remote")


class Bare:
    """The program on libzookeeper_mt. It has no cache: what it does once, it does the same way again."""

    def __init__(self, name, setting, window):
        self.name, self.setting, self.window = name, setting, window

    def measure(self, step):
        setting = self.setting
        limit = setting.nodes if self.window > 1 else setting.patience
        modes = {
            "find": ("find", "/tree", self.window, limit),
            "cat": ("cat", "/tree", self.window, limit),
            "stat": ("exists", "/tree", READS, self.window, setting.files),
            "open+read+close": ("get", "/tree", READS, self.window, setting.files),
            "overwrite": ("set", "/file", WRITES, self.window),
            "create": ("create", "/new/" + self.name, WRITES, self.window),
            "unlink": ("delete", "/new/" + self.name, WRITES, self.window),
        }
        if self.window == 1:
            locks = "/locks/" + self.name
            modes.update(visible=("reread", "/file", CHANGES), modified=("watched", "/file", CHANGES))
            modes.update({"lock": ("lock", locks, WRITES), "lock-directory": ("lock3", locks, WRITES),
                          "lock-directory-1": ("lock", locks, WRITES)})
        if step not in modes:
            return None
        mode, place, *numbers = modes[step]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        words = run([setting.bare, setting.servers, mode, setting.znode + place, *map(str, numbers)])
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        if step in ("find", "cat"):
            seconds, nodes, size = words.split()
            if int(nodes) != limit or limit == setting.nodes and int(size) != setting.files * SIZE:
                raise Failure("the bare program saw %s znodes of %s bytes" % (nodes.decode(), size.decode()))
            seconds = float(seconds) * setting.nodes / limit
            return {"seconds": seconds, "warm": seconds, "cpu": cpu / limit}
        measured = times(words) if self.window == 1 else {"seconds": float(words)}
        if step not in ("visible", "modified"):
            measured["cpu"] = cpu / (UNCOUNTED + numbers[0])
        return measured
