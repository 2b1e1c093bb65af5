"""The rows of the benchmark: what they are called, printed as a table with ratios, and drawn."""
import os
import statistics
import subprocess

# Each step, its row and unit; see contenders.py for what it measures. "one" is an operation, or a znode of those walked.
STEPS = {
    "find": ("find", "ms", "one"),
    "cat": ("cat of everything", "ms", "one"),
    "grep": ("grep -r", "ms", "one"),
    "stat": ("stat", "µs", "one"),
    "absent": ("stat of an absent name", "µs", "one"),
    "pread": ("pread of an open file", "µs", "one"),
    "list": ("list 100 of an open directory", "µs", "one"),
    "open+read+close": ("open+read+close", "µs", "one"),
    "read-only": ("open+read+close, -o ro", "µs", "one"),
    "overwrite": ("overwrite", "µs", "one"),
    "create": ("create with contents", "µs", "one"),
    "unlink": ("unlink", "µs", "one"),
    "lock": ("flock+unlock", "µs", "one"),
    "lock-directory": ("flock+unlock of .data (bare: 3 nodes)", "µs", "one"),
    "lock-directory-1": ("flock+unlock of .data (bare: 1 node)", "µs", "one"),
    "visible": ("set elsewhere to visible", "µs", None),
    "modified": ("set elsewhere to IN_MODIFY", "µs", None),
    "created": ("create elsewhere to IN_CREATE", "µs", None),
}
COLUMNS = ("zkfs", "tmpfs", "passthrough", "bare", "bare, 256", "Kazoo")
WALKS = ("find", "cat", "grep")
EVENTS = ("visible", "modified", "created")
SCALES = {"ms": 1e3, "µs": 1e6, "bytes": 1}
NAME, UNIT = 38, 6
WIDTHS = [max(len(column), 7) + 3 for column in COLUMNS]
PICTURES = {"svg": "svg noenhanced size 1200,{height} font 'sans,13' background 'white'",
            "png": "pngcairo noenhanced size 1200,{height} font 'sans,10'"}
COLORS = ("#c0392b", "#95a5a6", "#7f8c8d", "#2980b9", "#85c1e9", "#f39c12")


def number(value):
    """About three digits."""
    return "%.*f" % (0 if value >= 100 else 1 if value >= 10 else 2 if value >= 0.1 else 3, value)


def cells(results, step, key):
    """The median of each contender's rounds; None where one of them waited in vain."""
    found = {}
    for name, measured in results.get(step, {}).items():
        values = [m[key] for m in measured if m and key in m]
        if values:
            found[name] = None if None in values else statistics.median(values)
    return found


def rows(results):
    """Name, unit and cells of every row that was measured."""
    for step, (name, unit, _) in STEPS.items():
        for key, suffix in (("seconds", ", cold" if step in WALKS else ", median" if step in EVENTS else ""),
                            ("warm", ", warm"), ("p99", ", p99")):
            if key != "p99" or step in EVENTS:
                yield name + suffix, unit, cells(results, step, key)
    for step, (name, _, _) in STEPS.items():
        yield "processor time: " + name, "µs", cells(results, step, "cpu")
    for step in WALKS:
        yield "memory per znode: " + STEPS[step][0], "bytes", cells(results, step, "memory")


def line_of(name, unit, values, ratios):
    return (name.ljust(NAME) + unit.rjust(UNIT) + "".join(value.rjust(width) for value, width in zip(values, WIDTHS)) +
            "  |" + "".join(ratio.rjust(width) for ratio, width in zip(ratios, WIDTHS[1:]))).rstrip()


def row_of(name, unit, found):
    zkfs = found.get("zkfs")
    values = ["" if c not in found else "none" if found[c] is None else number(found[c] * SCALES[unit]) for c in COLUMNS]
    ratios = [number(zkfs / found[c]) if zkfs is not None and found.get(c) else "" for c in COLUMNS[1:]]
    return line_of(name, unit, values, ratios)


def print_table(files, results, rounds):
    head = line_of("%s files, medians of %d" % (format(files, ","), rounds), "", COLUMNS, COLUMNS[1:])
    print()
    print(" " * head.index("|") + "|  zkfs, times")
    print(head)
    print("-" * len(head))
    for name, unit, found in rows(results):
        if found:
            print(row_of(name, unit, found))
    print(flush=True)


def drawn_rows(files, results):
    """Name and µs of one operation, or of one znode of a walk."""
    for step, (name, _, _) in STEPS.items():
        per = files if step in WALKS else 1
        for key, suffix in (("seconds", ", cold" if step in WALKS else ""), ("warm", ", warm")):
            found = cells(results, step, key)
            if any(found.values()):
                label = (name + suffix).replace(" of everything", "").replace("+close", "+\nclose").replace("here to ", "here to\n")
                yield label.replace(" ", "\n", 1), {c: value * 1e6 / per for c, value in found.items() if value}


def script(trees, terminal, output):
    """For gnuplot: a panel for each tree."""
    lines = ["set terminal " + terminal.format(height=420 * len(trees)), "set output '%s'" % output.replace("'", "''"),
             "set style data histograms", "set style histogram clustered gap 1", "set style fill solid noborder",
             "set boxwidth 0.9", "set logscale y", "set format y '%g'", "set grid ytics", "set ylabel 'µs, less is better'",
             "set xtics scale 0", "set bmargin 5", "set tics nomirror", "set border 3", "set datafile missing '?'",
             "set multiplot layout %d,1" % len(trees)]
    for index, (files, results) in enumerate(trees):
        drawn = list(drawn_rows(files, results))
        lines.append("$tree%d << END" % index)
        for name, found in drawn:
            lines.append('"%s" ' % name.replace("\n", "\\n") +
                         " ".join("%g" % found[c] if c in found else "?" for c in COLUMNS))
        bars = ", ".join("$tree%d using %d%s title '%s' linecolor rgb '%s'" % (
            index, column + 2, ":xtic(1)" if column == 0 else "", name, COLORS[column]) for column, name in enumerate(COLUMNS))
        lines += ["END", "unset key" if index else "set key outside top center horizontal",
                  "set xrange [-0.6:%g]" % (len(drawn) - 0.4),
                  "set title '%s files: one operation, or one file of a walk'" % format(files, ","), "plot " + bars]
    return "\n".join(lines + ["unset multiplot", ""])


def draw(directory, trees):
    for kind, terminal in PICTURES.items():
        output = os.path.join(directory, "bench." + kind)
        drawn = subprocess.run(["gnuplot"], input=script(trees, terminal, output), text=True, check=False)
        if drawn.returncode:
            raise OSError("gnuplot cannot draw '%s'" % output)
