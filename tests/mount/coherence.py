"""10,000 random operations by two mounts and Kazoo, in turns and at once: nobody reads older things than it
has written or seen before, and nothing torn (DESIGN.md section 4, rule 2)."""
from history import *
from zktest import *

COUNT = int(5000 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))

with mount('one') as one, mount('two') as two, client() as zk:
    history = History(MountParty('one', one.path), MountParty('two', two.path), KazooParty('kazoo', zk))
    history.run_in_turns(COUNT)
    history.run_at_once(COUNT)
