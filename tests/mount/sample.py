"""A tree with a znode of every sort that the filesystem must show, and what it is to show them as."""

import stat

__all__ = ['AWKWARD_NAMES', 'KINDS', 'create_many', 'make_kinds', 'make_sample', 'mode_type',
           'snapshot']

# name: (how it is made, type, what reading it, or its .data, gives)
KINDS = {
    'null': ('create null', 'd', b''),
    'empty': ('create empty', 'd', b''),
    'null-written': ('create null, set null', 'f', b''),
    'empty-written': ('create empty, set empty', 'f', b''),
    'data': ('create data', 'f', b'data'),
    'data-emptied': ('create data, set empty', 'f', b''),
    'binary': ('create binary', 'f', bytes(range(256))),
    'parent': ('create empty, child', 'd', b''),
    'parent-with-data': ('create data, child', 'd', b'data'),
    'was-parent': ('create empty, child, childless', 'd', b''),
    'was-parent-with-data': ('create data, child, childless', 'd', b'data'),
    'was-parent-emptied': ('create data, child, childless, set empty', 'd', b''),
    'ephemeral': ('ephemeral empty', 'f', b''),
    'ephemeral-null': ('ephemeral null', 'f', b''),
    'ephemeral-with-data': ('ephemeral data', 'f', b'data'),
}

CONTENTS = {'null': None, 'empty': b'', 'data': b'data', 'binary': bytes(range(256))}

# Names of znodes and what they are called in the mount's root, if that is something else.
AWKWARD_NAMES = {
    'two words': None,
    ' ': None,
    ' leading and trailing ': None,
    'é': None,
    'e\u0301 decomposed': None,
    '日本語': None,
    'é' * 150: None,        # 300 bytes
    'n' * 1000: None,
    '-rf': None,
    '*': None,
    '...': None,
    '"quoted\'': None,
    'back\\slash': None,
    '.hidden': None,
    '.data': '.data=',
    '.data=': '.data==',
    '.data==': '.data===',
    '.database': None,
    '.zkfs': '.zkfs=',
    '.zkfs=': '.zkfs==',
}


def create_many(zk, nodes, at_once=500):
    """Creates (path, data) pairs in transactions, which is much faster than one by one."""
    nodes = list(nodes)
    for start in range(0, len(nodes), at_once):
        transaction = zk.transaction()
        for path, data in nodes[start:start + at_once]:
            transaction.create(path, data)
        for result in transaction.commit():
            if isinstance(result, Exception):
                raise result


def make_kinds(zk, top=''):
    for name, (how, _, _) in KINDS.items():
        path = f'{top}/{name}'
        for step in how.split(', '):
            word, _, content = step.partition(' ')
            if word == 'create':
                zk.create(path, CONTENTS[content])
            elif word == 'ephemeral':
                zk.create(path, CONTENTS[content], ephemeral=True)
            elif word == 'set':
                zk.set(path, CONTENTS[content])
            elif word == 'child':
                zk.create(f'{path}/child', b'child')
            elif word == 'childless':
                zk.delete(f'{path}/child')


def make_sample(zk, top, longest=1000):
    """All sorts of znodes below top, ephemerals among them. longest: of the names, in bytes."""
    zk.ensure_path(top)
    make_kinds(zk, top)
    for name in AWKWARD_NAMES:
        if len(name.encode()) <= longest:
            zk.create(f'{top}/{name}', name.encode())
    zk.create(f'{top}/.data=/.data', b'data of a real .data in a real .data=')
    zk.create(f'{top}/million', bytes(i * i // 251 % 256 for i in range(1000)) * 1000)
    zk.create(f'{top}/many', b'')
    create_many(zk, ((f'{top}/many/{i:04}', b'%d' % i) for i in range(500)))
    deep = top
    for level in range(20):
        deep = f'{deep}/level {level}'
        zk.create(deep, b'data of level %d' % level)


def snapshot(zk, top):
    """Path below top: data, for every znode there; null is like empty."""
    tree, names = {}, ['']
    while names:
        asked = [(name, zk.get_async(top + name), zk.get_children_async(top + name))
                 for name in names]
        names = []
        for name, data, children in asked:
            tree[name] = data.get()[0] or b''
            names += [f'{name}/{child}' for child in children.get()]
    return tree


def mode_type(mode):
    return {stat.S_IFDIR: 'd', stat.S_IFREG: 'f'}.get(stat.S_IFMT(mode), '?')
