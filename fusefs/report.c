#include "fusefs/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cache/lock.h"
#include "cache/util/metrics.h"
#include "fusefs/announce.h"
#include "fusefs/files.h"
#include "fusefs/inode.h"
#include "fusefs/notify.h"
#include "fusefs/pending.h"
#include "fusefs/requests.h"

static const char *const states[] = {
	[SESSION_CONNECTED] = "connected",
	[SESSION_SUSPENDED] = "suspended",
	[SESSION_LOST] = "lost",
};

enum { STATES = sizeof(states) / sizeof(states[0]) };

__attribute__((format(printf, 2, 3))) static void put_line(struct buf *out, const char *format, ...)
{
	char line[256];
	va_list args;
	int size;

	va_start(args, format);
	size = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (size >= (int)sizeof(line) - 1)
		size = sizeof(line) - 2;
	line[size] = '\n';
	(void)buf_append(out, line, (size_t)size + 1);
}

void report_state(const struct mount *mount, struct buf *out)
{
	struct cache_view view;

	cache_look(mount->cache, &view);
	put_line(out, "%s", states[view.session.state]);
}

void report_session(const struct mount *mount, struct buf *out)
{
	struct cache_view view;
	const char *server;

	cache_look(mount->cache, &view);
	server = view.session.server;
	put_line(out, "state %s", states[view.session.state]);
	put_line(out, "id 0x%llx", (unsigned long long)view.session.id);
	put_line(out, "timeout %d", view.session.timeout);
	put_line(out, "server %s", *server ? server : "none");
	put_line(out, "reads %s", view.is_reading && view.reads_from[0] ? view.reads_from : "none");
	put_line(out, "watch %s", !view.is_reading ? "none" : view.is_watching ? "recursive" : "ttl");
}

void report_lease(const struct cache_lease *lease, struct buf *out)
{
	put_line(out, "id 0x%llx", (unsigned long long)lease->session);
	put_line(out, "timeout %d", lease->timeout);
	put_line(out, "contact %lld", (long long)lease->contact);
}

/* --- Metrics --- */

static void put_session(const struct cache_view *view, struct buf *out)
{
	static const char name[] = "zkfs_session_state";
	char labels[64];

	metrics_family(out, name, "gauge", "1 for the state that the session is in, 0 for the others.");
	for (int i = 0; i < STATES; i++) {
		(void)snprintf(labels, sizeof(labels), "state=\"%s\"", states[i]);
		metrics_put(out, name, labels, view->session.state == (enum session_state)i ? 1 : 0);
	}
	metrics_put_alone(out, "zkfs_session_suspended_total", "counter", "How often the session had no server.",
		view->session.suspended);
	metrics_put_alone(out, "zkfs_session_lost_total", "counter", "How often a session has expired.",
		view->session.lost);
	metrics_family(out, "zkfs_session_timeout_seconds", "gauge", "The timeout that the servers granted.");
	metrics_put_seconds(out, "zkfs_session_timeout_seconds", NULL, (uint64_t)view->session.timeout * 1000000);
	metrics_put_alone(out, "zkfs_reads_connected", "gauge", "Whether there is a connection for reads.",
		view->is_reading);
	metrics_put_alone(out, "zkfs_watching", "gauge", "Whether a recursive watch tells of every change.",
		view->is_watching);
	metrics_put_alone(out, "zkfs_watch_gaps_total", "counter", "How often the connection for reads has broken.",
		view->gaps);
}

static void put_cache(const struct cache_view *view, struct buf *out)
{
	static const char events[] = "zkfs_watch_events_total";
	static const char changes[] = "zkfs_changes";

	metrics_put_alone(out, "zkfs_cache_hits_total", "counter", "Questions for znodes answered from memory.",
		view->hits);
	metrics_put_alone(out, "zkfs_cache_recalled_total", "counter",
		"Those of them answered with what was known before an outage.", view->recalled);
	metrics_put_alone(out, "zkfs_cache_misses_total", "counter", "Questions for znodes that needed a server.",
		view->misses);
	metrics_put_alone(out, "zkfs_cache_nodes", "gauge", "Paths that something is cached of.", view->nodes);
	metrics_put_alone(out, "zkfs_cache_bytes", "gauge", "Memory of what is cached.", view->bytes);
	metrics_put_alone(out, "zkfs_cache_limit_bytes", "gauge", "The most that it may have (cache_size).",
		view->bytes_max);
	metrics_family(out, events, "counter", "Changes that the watch told of, our own among them.");
	metrics_put(out, events, "change=\"created\"", view->created);
	metrics_put(out, events, "change=\"changed\"", view->changed);
	metrics_put(out, events, "change=\"deleted\"", view->deleted);
	metrics_family(out, changes, "gauge", "Changes under way: waiting for a connection, or for an answer.");
	metrics_put(out, changes, "waiting_for=\"connection\"", view->changes_waiting);
	metrics_put(out, changes, "waiting_for=\"answer\"", view->changes_sent);
}

static void put_queues(const struct mount *mount, struct buf *out)
{
	static const char *const labels[] = { "queue=\"notifier\"", "queue=\"announcer\"" };
	struct queue_view queues[2];

	notify_look(mount->notify, &queues[0]);
	announce_look(mount->announce, &queues[1]);
	metrics_family(out, "zkfs_queue_depth", "gauge",
		"What the notifier (of the kernel) and the announcer (of inotify) have yet to tell.");
	for (int i = 0; i < 2; i++)
		metrics_put(out, "zkfs_queue_depth", labels[i], queues[i].depth);
	metrics_family(out, "zkfs_queue_lag_seconds", "gauge", "How long the oldest of it has been there.");
	for (int i = 0; i < 2; i++)
		metrics_put_seconds(out, "zkfs_queue_lag_seconds", labels[i], queues[i].lag * 1000000);
	metrics_family(out, "zkfs_queue_done_total", "counter", "What they have told.");
	for (int i = 0; i < 2; i++)
		metrics_put(out, "zkfs_queue_done_total", labels[i], queues[i].done);
	metrics_family(out, "zkfs_queue_overflows_total", "counter",
		"How often there was too much: the notifier told the kernel to forget everything, the announcer told nobody.");
	for (int i = 0; i < 2; i++)
		metrics_put(out, "zkfs_queue_overflows_total", labels[i], queues[i].lost);
}

static void put_files(const struct mount *mount, struct buf *out)
{
	static const char locks[] = "zkfs_locks";
	struct files_view files;
	size_t held, waiting;

	files_look(mount->files, &files);
	cache_count_locks(mount->cache, &held, &waiting);
	metrics_family(out, locks, "gauge", "Locks of programs of this machine.");
	metrics_put(out, locks, "state=\"held\"", held);
	metrics_put(out, locks, "state=\"waiting\"", waiting);
	metrics_put_alone(out, "zkfs_open_files", "gauge", "Open files.", files.open);
	metrics_put_alone(out, "zkfs_drafts", "gauge", "Open files with something that is not saved yet.",
		files.unsaved);
	metrics_put_alone(out, "zkfs_saves", "gauge", "Saves under way.", files.saves);
	metrics_put_alone(out, "zkfs_inodes", "gauge", "Inodes that the kernel knows.", inodes_count(mount->inodes));
	metrics_put_alone(out, "zkfs_fuse_requests_pending", "gauge", "Requests of the kernel that wait for an answer.",
		pendings_count(mount->pendings));
}

static uint64_t resident_bytes(void)
{
	FILE *statm = fopen("/proc/self/statm", "re");
	unsigned long long pages = 0;

	if (statm) {
		if (fscanf(statm, "%*u %llu", &pages) != 1)
			pages = 0;
		(void)fclose(statm);
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t ns_of(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000000 + (uint64_t)time->tv_usec * 1000;
}

static void put_process(struct buf *out)
{
	struct rusage usage = { 0 };

	(void)getrusage(RUSAGE_SELF, &usage);
	metrics_put_alone(out, "process_resident_memory_bytes", "gauge", "Memory that zkfs holds.", resident_bytes());
	metrics_family(out, "process_cpu_seconds_total", "counter", "Time that zkfs has worked.");
	metrics_put_seconds(out, "process_cpu_seconds_total", NULL, ns_of(&usage.ru_utime) + ns_of(&usage.ru_stime));
	metrics_family(out, "zkfs_build_info", "gauge", "Which zkfs this is.");
	metrics_put(out, "zkfs_build_info", "version=\"" ZKFS_VERSION "\"", 1);
}

void report_metrics(const struct mount *mount, struct buf *out)
{
	struct cache_view view;

	cache_look(mount->cache, &view);
	put_session(&view, out);
	put_cache(&view, out);
	put_queues(mount, out);
	put_files(mount, out);
	requests_render(mount->requests, out);
	put_process(out);
}
