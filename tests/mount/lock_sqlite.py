"""SQLite with its own locks (fcntl, of ranges), a database on two mounts, several processes of which each adds to a counter: no step is lost, and
the database stays whole."""
# timeout: 300
import subprocess
import sys

from zktest import *

STEPS = max(5, int(20 * float(os.environ.get('ZKFS_TEST_SCALE', 1))))
PROCESSES = 2   # on each mount
STEP = r'''
import sqlite3, sys
path, name, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
db = sqlite3.connect(path, timeout=120, isolation_level=None)
for step in range(steps):
    db.execute('BEGIN IMMEDIATE')
    value, = db.execute('SELECT value FROM counter').fetchone()
    db.execute('UPDATE counter SET value = ?', (value + 1,))
    db.execute('INSERT INTO steps VALUES (?, ?)', (name, value + 1))
    db.execute('COMMIT')
    if step % 5 == 4:       # whoever opens it anew sees what is there
        db.close()
        db = sqlite3.connect(path, timeout=120, isolation_level=None)
db.close()
'''


def sqlite(mnt, text):
    return subprocess.run(['sqlite3', f'{mnt.path}/base.db', '.timeout 60000', text], stdout=subprocess.PIPE, text=True, check=True).stdout


require('sqlite3')
with mount('one') as one, mount('two') as two:
    sqlite(one, 'CREATE TABLE counter (value INTEGER); CREATE TABLE steps (name TEXT, value INTEGER UNIQUE); INSERT INTO counter VALUES (0);')
    workers = [subprocess.Popen([sys.executable, '-c', STEP, f'{mnt.path}/base.db', f'{number}{process}', str(STEPS)])
               for number, mnt in enumerate((one, two)) for process in range(PROCESSES)]
    for worker in workers:
        expect_eq(worker.wait(), 0, 'exit status')
    for mnt in (one, two):
        expect_eq(sqlite(mnt, 'SELECT value FROM counter; SELECT count(*) FROM steps; PRAGMA integrity_check;'),
                  f'{2 * PROCESSES * STEPS}\n{2 * PROCESSES * STEPS}\nok\n', 'the counter, the steps, the database')
        expect_eq(sqlite(mnt, 'SELECT count(*) FROM steps GROUP BY name;'), f'{STEPS}\n' * 2 * PROCESSES, 'steps of each')
    expect_eq(os.listdir(one.path), ['base.db'], 'what is left')
