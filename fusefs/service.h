/* What the service manager that started us waits for (systemd's Type=notify). */
#ifndef ZKFS_FUSEFS_SERVICE_H
#define ZKFS_FUSEFS_SERVICE_H

/* Tells it, in the words of sd_notify(3): "READY=1", "STOPPING=1". Does nothing without one ($NOTIFY_SOCKET). */
void service_tell(const char *state);

#endif
