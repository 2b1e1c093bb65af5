"""As coherence, with each party at another server of an ensemble, so that they lag behind one another."""
from history import *
from zktest import *

COUNT = int(3000 * float(os.environ.get('ZKFS_TEST_SCALE', 1)))

with Servers('--ensemble', '3') as own:
    connect = own.connect.split(',')

    def mount_at(name, server):
        os.environ['ZK'] = server
        return mount(name)

    def client_at(server):
        os.environ['ZK'] = server
        return client()

    with mount_at('one', connect[0]) as one, mount_at('two', connect[1]) as two, client_at(connect[2]) as zk:
        history = History(MountParty('one', one.path), MountParty('two', two.path), KazooParty('kazoo', zk))
        history.run_at_once(COUNT)
