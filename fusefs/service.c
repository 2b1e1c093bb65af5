#include "fusefs/service.h"

#include <string.h>
#include <systemd/sd-daemon.h>

#include "cache/util/log.h"

void service_tell(const char *state)
{
	int err = sd_notify(0, state);

	if (err < 0)
		log_warning("cannot tell '%s' to the service manager: %s", state, strerror(-err));
}
