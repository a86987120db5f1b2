/* SPDX-License-Identifier: MIT */
/*
 * The whole of a test program of the Xen transport in a build without it. A
 * missing piece is a failure: nobody shall take it for a test that passed.
 */
#ifndef MODEL_NEEDS_XEN_H
#define MODEL_NEEDS_XEN_H

static void test_needs_xens_libraries(void **state)
{
	(void)state;
	fail_msg("this build has no Xen transport: install libxen-dev");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_needs_xens_libraries),
	};

	return cmocka_run_group_tests_name("xen", tests, NULL, NULL);
}

#endif
