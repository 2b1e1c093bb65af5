#include "cache/zkerror.h"

#include <errno.h>
#include <stddef.h>
#include <zookeeper/zookeeper.h>

/* Codes of KeeperException.Code that zookeeper.h does not name. */
enum {
	UNKNOWN_SESSION = -12,
	REQUEST_TIMEOUT = -122,
	QUOTA_EXCEEDED = -125,
};

static const struct {
	int code;
	int err;
} table[] = {
	{ ZOK, 0 },
	{ ZSYSTEMERROR, EIO },
	{ ZRUNTIMEINCONSISTENCY, EIO }, /* in a multi: not the operation that failed, another did */
	{ ZDATAINCONSISTENCY, EIO },
	{ ZCONNECTIONLOSS, ETIMEDOUT },
	{ ZMARSHALLINGERROR, EIO },
	{ ZUNIMPLEMENTED, EOPNOTSUPP },
	{ ZOPERATIONTIMEOUT, ETIMEDOUT },
	{ ZBADARGUMENTS, EINVAL },
	{ ZINVALIDSTATE, EIO },
	{ UNKNOWN_SESSION, EIO },
	{ ZNEWCONFIGNOQUORUM, EBUSY },
	{ ZRECONFIGINPROGRESS, EBUSY },
	{ ZSSLCONNECTIONERROR, EIO },
	{ ZAPIERROR, EIO },
	{ ZNONODE, ENOENT },
	{ ZNOAUTH, EACCES },
	{ ZBADVERSION, EAGAIN },
	{ ZNOCHILDRENFOREPHEMERALS, ENOTDIR },
	{ ZNODEEXISTS, EEXIST },
	{ ZNOTEMPTY, ENOTEMPTY },
	{ ZSESSIONEXPIRED, EIO },
	{ ZINVALIDCALLBACK, EINVAL },
	{ ZINVALIDACL, EINVAL },
	{ ZAUTHFAILED, EACCES },
	{ ZCLOSING, EIO },
	{ ZNOTHING, EIO },
	{ ZSESSIONMOVED, EIO },
	{ ZNOTREADONLY, EROFS },
	{ ZEPHEMERALONLOCALSESSION, EOPNOTSUPP },
	{ ZNOWATCHER, ENOENT },
	{ REQUEST_TIMEOUT, ETIMEDOUT },
	{ ZRECONFIGDISABLED, EOPNOTSUPP },
	{ ZSESSIONCLOSEDREQUIRESASLAUTH, EACCES },
	{ QUOTA_EXCEEDED, EDQUOT },
	{ ZTHROTTLEDOP, EBUSY },
};

int zkerror_to_errno(int code)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (table[i].code == code)
			return -table[i].err;
	}
	return -EIO;
}

/* libzookeeper ends every request under way with the reason why it closes the connection (zookeeper.c, cleanup). Not
 * ZSESSIONEXPIRED: it is found when connecting anew, and what was under way had ended with ZCONNECTIONLOSS before. */
int zkerror_is_unknown_outcome(int code)
{
	switch (code) {
	case ZCONNECTIONLOSS:
	case ZOPERATIONTIMEOUT:
	case REQUEST_TIMEOUT:
	case ZCLOSING:
	case ZAUTHFAILED: /* the answer to an authentication overtakes those to requests */
		return 1;
	default:
		return 0;
	}
}
