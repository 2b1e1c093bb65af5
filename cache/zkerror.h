/* ZooKeeper's result codes as errno: the only such table. The codes are those of zookeeper.h (enum ZOO_ERRORS) and
 * KeeperException.Code, which are the same numbers. */
#ifndef ZKFS_CACHE_ZKERROR_H
#define ZKFS_CACHE_ZKERROR_H

/* code: 0 or a negative ZooKeeper code. Gives 0 or -errno; -EIO for a code it does not know. Pure. */
int zkerror_to_errno(int code);

/* Whether a change that ended with this code may have been made all the same: the connection ended between request and
 * reply. Pure. */
int zkerror_is_unknown_outcome(int code);

#endif
