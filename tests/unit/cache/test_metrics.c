#include "cache/util/metrics.h"

#include <pthread.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct buf out;

static void check_text(const char *text)
{
	ck_assert(buf_append(&out, "", 1));
	ck_assert_str_eq(out.data, text);
	buf_release(&out);
}

START_TEST(families_and_samples)
{
	metrics_family(&out, "a_total", "counter", "What is counted.");
	metrics_put(&out, "a_total", NULL, UINT64_MAX);
	metrics_put(&out, "a_total", "b=\"c\"", 0);
	metrics_put_alone(&out, "d", "gauge", "What is.", 7);
	metrics_put_seconds(&out, "e", NULL, 12000000034);
	check_text(
		"# HELP a_total What is counted.\n# TYPE a_total counter\na_total 18446744073709551615\na_total{b=\"c\"} 0\n"
		"# HELP d What is.\n# TYPE d gauge\nd 7\ne 12.000000034\n");
}
END_TEST

START_TEST(histogram_counts_what_is_below)
{
	struct histogram histogram = { 0 };
	static const uint64_t observed[] = { 0, 5000, 5001, 10000, 1000000000, 5000000001, UINT64_C(1) << 40 };

	for (size_t i = 0; i < sizeof(observed) / sizeof(observed[0]); i++)
		histogram_observe(&histogram, observed[i]);
	ck_assert_uint_eq(histogram_count(&histogram), 7);
	metrics_put_histogram(&out, "h", "a=\"b\"", &histogram);
	check_text(
		"h_bucket{a=\"b\",le=\"0.000005\"} 2\nh_bucket{a=\"b\",le=\"0.00001\"} 4\n"
		"h_bucket{a=\"b\",le=\"0.00002\"} 4\nh_bucket{a=\"b\",le=\"0.00005\"} 4\n"
		"h_bucket{a=\"b\",le=\"0.0001\"} 4\nh_bucket{a=\"b\",le=\"0.0002\"} 4\n"
		"h_bucket{a=\"b\",le=\"0.0005\"} 4\nh_bucket{a=\"b\",le=\"0.001\"} 4\n"
		"h_bucket{a=\"b\",le=\"0.002\"} 4\nh_bucket{a=\"b\",le=\"0.005\"} 4\n"
		"h_bucket{a=\"b\",le=\"0.01\"} 4\nh_bucket{a=\"b\",le=\"0.02\"} 4\n"
		"h_bucket{a=\"b\",le=\"0.05\"} 4\nh_bucket{a=\"b\",le=\"0.1\"} 4\n"
		"h_bucket{a=\"b\",le=\"0.2\"} 4\nh_bucket{a=\"b\",le=\"0.5\"} 4\n"
		"h_bucket{a=\"b\",le=\"1\"} 5\nh_bucket{a=\"b\",le=\"5\"} 5\n"
		"h_bucket{a=\"b\",le=\"+Inf\"} 7\nh_sum{a=\"b\"} 1105.511647778\nh_count{a=\"b\"} 7\n");
	metrics_put_histogram(&out, "h", NULL, &histogram);
	ck_assert(buf_append(&out, "", 1));
	ck_assert_ptr_nonnull(strstr(out.data, "\nh_bucket{le=\"+Inf\"} 7\nh_sum 1105.511647778\nh_count 7\n"));
	buf_release(&out);
}
END_TEST

static void *observe(void *arg)
{
	for (int i = 0; i < 10000; i++)
		histogram_observe(arg, (uint64_t)i);
	return NULL;
}

START_TEST(many_threads)
{
	struct histogram histogram = { 0 };
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, observe, &histogram), 0);
	for (int i = 0; i < 4; i++)
		(void)pthread_join(threads[i], NULL);
	ck_assert_uint_eq(histogram_count(&histogram), 40000);
}
END_TEST

START_TEST(no_line_is_cut)
{
	char longer[600];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	metrics_put_alone(&out, "a", "gauge", longer, 1);
	ck_assert(out.failed);
	buf_release(&out);
}
END_TEST

Suite *unit_suite(void)
{
	Suite *suite = suite_create("metrics");
	TCase *tcase = tcase_create("metrics");

	tcase_add_test(tcase, families_and_samples);
	tcase_add_test(tcase, histogram_counts_what_is_below);
	tcase_add_test(tcase, many_threads);
	tcase_add_test(tcase, no_line_is_cut);
	suite_add_tcase(suite, tcase);
	return suite;
}
