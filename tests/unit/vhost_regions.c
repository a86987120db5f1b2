/* SPDX-License-Identifier: MIT */
/*
 * The table of a front end's memory by itself: what may be added, and that a
 * range is found where it is and nowhere else, at every edge of two regions
 * that are neighbours in the guest but not here.
 */
#include "lib/vhost_peer.h"

#define PAGE UINT64_C(4096)
#define AT UINT64_C(0x40000000)       /* guest address of region 0 */
#define USER UINT64_C(0x7f0000000000) /* its user address */

struct table {
	struct regions regions;
	struct queue_memory qm;
	int fd;
	int wake;
};

static struct vhost_region region(unsigned int i)
{
	return (struct vhost_region){
		.guest = AT + i * 2 * PAGE,
		.size = 2 * PAGE,
		/* Not neighbours as the front end sees them. */
		.user = USER + i * 16 * PAGE,
		.offset = (1 - i) * 2 * PAGE,
	};
}

static int add(struct table *t, struct vhost_region r)
{
	return regions_add(&t->regions, &r, t->fd, t->wake);
}

static void start(struct table *t)
{
	memset(t, 0, sizeof(*t));
	t->fd = memfd_create("regions", MFD_CLOEXEC);
	t->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	assert_int_equal(ftruncate(t->fd, 4 * (off_t)PAGE), 0);
	queue_memory_init(&t->qm, &t->regions);
	/* The later one first: they are kept in order. */
	assert_int_equal(add(t, region(1)), 0);
	assert_int_equal(add(t, region(0)), 0);
}

static void finish(struct table *t)
{
	regions_clear(&t->regions);
	close(t->fd);
	close(t->wake);
}

/* Pieces of a range, by the windows or by map(), as the device does it. */
static int find(struct table *t, uint64_t addr, uint32_t len,
		struct virtio_iov iov[4])
{
	const struct guest_range range = { addr, len };
	uint8_t *p = guest_memory_look(&t->qm.mem, addr, len);
	unsigned int split;

	if (!p)
		return t->qm.mem.ops->map(&t->qm.mem, &range, 1, 1, iov, 4,
					  &split);
	iov[0] = (struct virtio_iov){ .base = p, .len = len };
	return 1;
}

static const uint8_t *host(const struct table *t, uint64_t addr)
{
	uint64_t i = (addr - AT) / (2 * PAGE);

	return t->regions.region[i].map.data + (addr - AT) % (2 * PAGE);
}

/* Each range of some bytes around each edge, with windows cold and warm. */
static void ranges_at_edges(void **state)
{
	static const uint32_t lengths[] = { 1, 2, 511, 4096, 8192, 16384 };
	struct virtio_iov iov[4];
	struct table t;

	(void)state;
	start(&t);
	for (unsigned int l = 0; l < 6; l++)
		for (uint64_t a = AT - 2; a <= AT + 4 * PAGE + 2; a++) {
			uint64_t end = a + lengths[l];
			bool in = a >= AT && end <= AT + 4 * PAGE;
			bool both = a < AT + 2 * PAGE && end > AT + 2 * PAGE;
			int n = find(&t, a, lengths[l], iov);

			assert_int_equal(n, in ? 1 + both : -EFAULT);
			if (!in)
				continue;
			assert_ptr_equal(iov[0].base, host(&t, a));
			if (both)
				assert_ptr_equal(iov[1].base,
						 host(&t, AT + 2 * PAGE));
			assert_int_equal(iov[0].len + (both ? iov[1].len : 0),
					 lengths[l]);
		}
	/* The sum runs over. */
	assert_int_equal(find(&t, UINT64_MAX, 2, iov), -EFAULT);
	assert_int_equal(find(&t, UINT64_MAX - 1, UINT32_MAX, iov), -EFAULT);
	finish(&t);
}

static void region_that_is_gone(void **state)
{
	const struct vhost_region gone = region(0);
	struct virtio_iov iov[4];
	struct table t;

	(void)state;
	start(&t);
	assert_int_equal(find(&t, AT, 16, iov), 1);
	assert_int_equal(regions_remove(&t.regions, &gone), 0);
	queue_memory_forget(&t.qm);
	assert_int_equal(find(&t, AT, 16, iov), -EFAULT);
	assert_int_equal(find(&t, AT + 2 * PAGE - 1, 2, iov), -EFAULT);
	assert_int_equal(find(&t, AT + 2 * PAGE, 2, iov), 1);
	assert_int_equal(regions_remove(&t.regions, &gone), -ENOENT);
	finish(&t);
}

static void user_addresses(void **state)
{
	struct table t;

	(void)state;
	start(&t);
	for (unsigned int i = 0; i < 2; i++) {
		uint64_t user = region(i).user;
		uint8_t *data = t.regions.region[i].map.data;

		assert_null(regions_from_user(&t.regions, user - 1, 1));
		assert_ptr_equal(regions_from_user(&t.regions, user, 2 * PAGE),
				 data);
		assert_null(regions_from_user(&t.regions, user, 2 * PAGE + 1));
		assert_ptr_equal(regions_from_user(&t.regions,
						   user + 2 * PAGE - 1, 1),
				 data + 2 * PAGE - 1);
		assert_null(
			regions_from_user(&t.regions, user + 2 * PAGE - 1, 2));
		assert_null(
			regions_from_user(&t.regions, user + 1, UINT64_MAX));
		assert_null(regions_from_user(&t.regions, user + 2 * PAGE, 1));
	}
	finish(&t);
}

static void regions_that_cannot_be(void **state)
{
	static const struct {
		struct vhost_region r;
		int error;
	} bad[] = {
		{ { AT + PAGE, PAGE, USER + 64 * PAGE, 0 }, -EEXIST },
		{ { AT + 3 * PAGE, 8 * PAGE, USER + 64 * PAGE, 0 }, -EEXIST },
		{ { AT - PAGE, 2 * PAGE, USER + 64 * PAGE, 0 }, -EEXIST },
		{ { AT + 64 * PAGE, PAGE, USER + PAGE, 0 }, -EEXIST },
		{ { AT + 64 * PAGE, PAGE, USER + 16 * PAGE, 0 }, -EEXIST },
		{ { AT + 64 * PAGE, 0, USER + 64 * PAGE, 0 }, -EINVAL },
		{ { UINT64_MAX - PAGE + 1, 2 * PAGE, USER + 64 * PAGE, 0 },
		  -EINVAL },
		{ { AT + 64 * PAGE, 2 * PAGE, UINT64_MAX - PAGE + 1, 0 },
		  -EINVAL },
		{ { AT + 64 * PAGE, UINT64_MAX & ~(PAGE - 1), USER, 0 },
		  -EINVAL },
		{ { AT + 64 * PAGE + 1, PAGE, USER + 64 * PAGE, 0 }, -EINVAL },
		{ { AT + 64 * PAGE, PAGE, USER + 64 * PAGE, 1 }, -EINVAL },
		{ { AT + 64 * PAGE, PAGE, USER + 64 * PAGE, 4 * PAGE },
		  -ENODATA },
		{ { AT + 64 * PAGE, 2 * PAGE, USER + 64 * PAGE, 3 * PAGE },
		  -ENODATA },
	};
	struct table t;

	(void)state;
	start(&t);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(add(&t, bad[i].r), bad[i].error);
		assert_int_equal(t.regions.n, 2);
	}
	assert_int_equal(regions_last(&t.regions), AT + 4 * PAGE - 1);
	finish(&t);
}

/* Parts of `n` queues of `size` entries, each with room, and none of others. */
static void check_parts(const struct inflight *in, unsigned int n,
			uint16_t size, bool packed)
{
	const uint8_t *end = in->map.data + in->map.size;

	for (unsigned int i = 0; i < n; i++) {
		const uint8_t *part = inflight_of(in, i, size, packed);

		assert_non_null(part);
		assert_true(part + virtq_inflight_bytes(size, packed) <=
			    (i + 1 < n ? (uint8_t *)inflight_of(in, i + 1, size,
								packed) :
					 end));
	}
	assert_null(inflight_of(in, n, size, packed));
	assert_null(inflight_of(in, 0, (uint16_t)(size + 1), packed));
	/* The layouts differ. */
	assert_null(inflight_of(in, 0, size, !packed));
}

/* An in-flight area ends in its file and has room for its queues. */
static void inflight_areas(void **state)
{
	struct vhost_inflight want = { .num_queues = 2, .queue_size = 8 };
	struct inflight in = { 0 };
	int fd, wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	(void)state;
	fd = inflight_create(&want, 2, 16);
	assert_true(fd >= 0);
	/* Room for our largest queue, in either layout. */
	for (int packed = 0; packed < 2; packed++) {
		assert_int_equal(inflight_open(&in, &want, fd, 2, packed, wake),
				 0);
		check_parts(&in, 2, 16, packed);
		inflight_close(&in);
	}
	assert_int_equal(inflight_open(&in, &want, fd, 3, true, wake), 0);
	check_parts(&in, 2, 16, true);
	inflight_close(&in);
	close(fd);
	/* Without a tail: as the front end says. */
	fd = memfd_create("area", MFD_CLOEXEC);
	want.mmap_size = 2 * 192;
	assert_int_equal(ftruncate(fd, (off_t)want.mmap_size), 0);
	assert_int_equal(inflight_open(&in, &want, fd, 2, false, wake), 0);
	assert_non_null(inflight_of(&in, 1, 8, false));
	assert_null(inflight_of(&in, 2, 8, false));
	check_parts(&in, 2, 8, false);
	inflight_close(&in);
	want.mmap_size--;
	assert_int_equal(inflight_open(&in, &want, fd, 2, false, wake),
			 -EINVAL);
	want.mmap_size++;
	assert_int_equal(inflight_open(&in, &want, fd, 1, false, wake),
			 -EINVAL);
	want.mmap_offset = 4096;
	assert_true(inflight_open(&in, &want, fd, 2, false, wake) < 0);
	close(fd);
	close(wake);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ranges_at_edges),
		cmocka_unit_test(region_that_is_gone),
		cmocka_unit_test(user_addresses),
		cmocka_unit_test(regions_that_cannot_be),
		cmocka_unit_test(inflight_areas),
	};

	return cmocka_run_group_tests_name("vhost_regions", tests, NULL, NULL);
}
