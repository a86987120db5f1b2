# SPDX-License-Identifier: MIT
#
# make            build (configures itself in a fresh clone)
# make demo       a guest on a real Xen, on a virtio-disk, in an emulator
# make check      all tests
# make help       the other targets

SRC ?= .
CONFIGURED := $(filter-out demo check check-xen bench bench-quick bench-core \
	bench-xen clean distclean help, \
	$(or $(MAKECMDGOALS),all))

help_text = \
	'all           build ./virtio-disk (default)' \
	'install       install program, man pages, units (DESTDIR, prefix)' \
	'demo          boot a real Xen and run a guest on a virtio-disk' \
	'check         all tests: lint, unit tests, scenarios on a real Xen' \
	'check-quick   what shows most faults in a minute' \
	'check-unit    unit tests, with sanitizers (TESTS="NAME ..." FILTER=PATTERN)' \
	'check-layers  includes against the layer rules; freestanding core' \
	'check-manual  the manual against --help, in both directions' \
	'check-build   the build without Xen, and what is installed' \
	'check-program the started program: signals, limits, log, command line' \
	'check-vhost   vhost-user with real clients (libblkio)' \
	'check-vhost-guest  vhost-user under QEMU and a stock kernel' \
	'check-torture survival of kill -9 over vhost-user, the short form' \
	'torture       the same for hours (KILLS=10000 HELD=1000 ONLY=NAME)' \
	'check-double  a Xen guest on a double of its host, killed; the short form' \
	'double        the same, longer (KILLS=4000 CHECK=1000 ONLY=NAME)' \
	'check-faults  some system calls and allocations fail, the store fails' \
	'faults        all of them, with every error and each time' \
	'check-power   what power cuts leave of a disk, against what was promised' \
	'power         the same, in some minutes' \
	'check-xen     scenarios on a real Xen' \
	'coverage      lines and branches of src/virtio that the unit tests reach' \
	'check-matrix  hostile tests by gcc and clang, -O0 to LTO (MATRIX=short)' \
	'check-conformance  docs/conformance.md against the tests' \
	'check-planted whether the unit tests notice planted bugs' \
	'fuzz          fuzz all targets, or TARGET=name, for SECONDS=60 each' \
	'check-fuzz    the same as part of make check' \
	'lint          clang-tidy, cppcheck, clang-format' \
	'bench-xen     against in-kernel blkback on a real Xen' \
	'bench         over vhost-user, against qemu-storage-daemon and fio' \
	'bench-quick   the same, in three minutes' \
	'bench-core    instructions per request, under callgrind' \
	'dist          a tarball of what git tracks, with configure' \
	'clean, distclean'

.PHONY: all install demo check check-quick check-unit check-layers check-build \
	check-vhost check-vhost-guest check-xen lint fuzz check-fuzz fuzz-corpus \
	coverage check-matrix check-planted check-conformance \
	bench bench-quick bench-core bench-xen dist clean distclean help
.DELETE_ON_ERROR:
.SECONDARY:

all: virtio-disk

ifneq ($(CONFIGURED),)
include config.mk
endif

# ---- configuration -------------------------------------------------------

$(SRC)/configure: $(SRC)/configure.ac
	cd $(SRC) && autoreconf -fi

config.mk config.h &: $(SRC)/configure $(SRC)/config.mk.in
	$(if $(wildcard config.status),./config.status --recheck && \
		./config.status,$(SRC)/configure)
	@touch config.mk config.h

# ---- sources -------------------------------------------------------------

# Names of files are the same wherever it is built.
IN_SRC := $(patsubst ./%,%,$(SRC)/)
sources = $(patsubst $(SRC)/%,%,$(wildcard $(SRC)/src/$(1)/*.c))

core_sources := $(call sources,virtio)
block_sources := $(filter-out \
	$(if $(filter yes,$(HAVE_LIBURING)),,src/block/engine_uring.c) \
	$(if $(filter yes,$(HAVE_LIBAIO)),,src/block/engine_libaio.c), \
	$(call sources,block))
base_sources := $(call sources,base)
vhost_sources := $(call sources,vhost_user)
our_sources := $(foreach folder,disk link worker monitor instances config program, \
	$(call sources,$(folder)))
ifeq ($(HAVE_XEN),yes)
xen_sources := $(call sources,xen) $(call sources,toolstack)
our_sources := $(filter-out src/monitor/guest_none.c \
	src/instances/watch_none.c src/monitor/show_config_none.c \
	src/worker/local_none.c \
	src/worker/process_xen_none.c,$(our_sources))
else
our_sources := $(filter-out src/monitor/guest.c src/monitor/guest_disk.c \
	src/monitor/guest_disks.c src/monitor/disk_held.c \
	src/monitor/disk_said.c src/monitor/show_config.c \
	src/instances/watch.c src/worker/client.c src/worker/server.c \
	src/worker/local.c src/worker/process_xen.c src/worker/xen_worker.c, \
	$(our_sources))
endif
main_source := src/program/main.c
# Everything but main(): what the tests link.
lib_sources := $(filter-out $(main_source), $(core_sources) $(block_sources) \
	$(base_sources) $(vhost_sources) $(xen_sources) $(our_sources))

# ---- flags ---------------------------------------------------------------

# Of the program only: the tests have sanitizers. Nothing in it tells where it
# was built, so that the same source makes the same program anywhere.
FOLDERS := $(patsubst %,%/=,$(filter-out .,$(SRC))) $(CURDIR)=.
HARDEN = $(HARDEN_CFLAGS) $(if $(PREFIX_MAP),$(FOLDERS:%=$(PREFIX_MAP)=%))
ALL_CPPFLAGS = -I. -I$(IN_SRC)include -I$(IN_SRC)src -D_GNU_SOURCE \
	-DVERSION='"$(VERSION)"' $(CPPFLAGS)
ALL_CFLAGS = -std=gnu11 $(CFLAGS) -fPIE -fno-strict-aliasing $(WARN_CFLAGS) \
	$(XEN_CFLAGS) $(INIH_CFLAGS) $(LIBURING_CFLAGS) -MMD -MP
ALL_LDFLAGS = -pie -Wl,-z,relro,-z,now $(LDFLAGS)
# Not Xen's libraries, which are loaded by who needs them (base/library.h).
ALL_LIBS = $(INIH_LIBS) $(LIBURING_LIBS) $(LIBAIO_LIBS) $(LIBS) -ldl -lpthread
SAN := -fsanitize=address,undefined -fno-sanitize-recover=undefined \
	-fno-omit-frame-pointer

# ---- the program ---------------------------------------------------------

objects := $(patsubst %.c,build/obj/%.o,$(lib_sources))

virtio-disk: $(main_source:%.c=build/obj/%.o) $(objects)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(HARDEN) $(LTO_FLAGS) $(ALL_LDFLAGS) $(HARDEN_LDFLAGS) \
		$(SANITIZE_FLAGS) -o $@ $^ $(ALL_LIBS)

build/obj/%.o: $(SRC)/%.c config.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(HARDEN) $(LTO_FLAGS) \
		$(SANITIZE_FLAGS) -c -o $@ $<

# What a scenario on a real Xen has of the program (tests/xen/probe).
build/probe/%: build/obj/tests/xen/probe/%.o $(objects)
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(HARDEN) $(LTO_FLAGS) $(ALL_LDFLAGS) $(HARDEN_LDFLAGS) \
		$(SANITIZE_FLAGS) -o $@ $^ $(ALL_LIBS)

install: all
	$(INSTALL) -d $(DESTDIR)$(sbindir) $(DESTDIR)$(mandir)/man5 \
		$(DESTDIR)$(mandir)/man8 $(DESTDIR)$(systemdsystemunitdir)
	$(INSTALL) -m 755 virtio-disk $(DESTDIR)$(sbindir)/virtio-disk
	$(INSTALL) -m 644 $(SRC)/man/*.5 $(DESTDIR)$(mandir)/man5
	$(INSTALL) -m 644 $(SRC)/man/*.8 $(DESTDIR)$(mandir)/man8
	for unit in virtio-disk.service virtio-disk@.service; do \
		sed 's|@sbindir@|$(sbindir)|' $(SRC)/systemd/$$unit \
			>$(DESTDIR)$(systemdsystemunitdir)/$$unit || exit 1; \
	done

# ---- unit tests, always with sanitizers ----------------------------------

san_objects := $(patsubst %.c,build/san/%.o,$(lib_sources))
unit_tests := $(patsubst $(SRC)/tests/unit/%.c,build/tests/%, \
	$(wildcard $(SRC)/tests/unit/*.c))

build/san/%.o: $(SRC)/%.c config.h
	@mkdir -p $(@D)
	@echo "  CC san  $<"
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(SAN) $(CMOCKA_CFLAGS) -c -o $@ $<

build/san/libvirtio-disk.a: $(san_objects)
	@rm -f $@ && $(AR) rcs $@ $^

build/tests/%: build/san/tests/unit/%.o build/san/tests/filter.o \
		build/san/libvirtio-disk.a build/san/tests/lib.done
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) $(SAN) $$(sed -n 's,^/\* LDFLAGS: \(.*\) \*/$$,\1,p' \
		$(SRC)/tests/unit/$*.c) -o $@ $(filter %.o,$^) \
		$$($(SRC)/tests/fixtures build/san tests/unit/$*) \
		$(filter %.a,$^) $(CMOCKA_LIBS) $(ALL_LIBS)

# Of processes that are confined, which sanitizers do not run in: with the objects
# of the program.
plain_tests := $(filter build/tests/worker_confine,$(unit_tests))

$(plain_tests): build/tests/%: build/obj/tests/unit/%.o build/obj/tests/filter.o \
		$(objects) build/obj/tests/lib.done
	@mkdir -p $(@D)
	@echo "  LINK    $@"
	@$(CC) $(CFLAGS) $(HARDEN) $(LTO_FLAGS) $(ALL_LDFLAGS) -o $@ \
		$(filter %.o,$^) $$($(SRC)/tests/fixtures build/obj \
		tests/unit/$*) $(CMOCKA_LIBS) $(ALL_LIBS)

# The fixtures, for each kind of build: a test is linked with those that it
# includes.
fixtures := $(patsubst $(SRC)/%.c,%.o,$(wildcard $(SRC)/tests/lib/*.c))
ifneq ($(HAVE_XEN),yes)
fixtures := $(filter-out $(patsubst %,tests/lib/model_%.o,again domain foreign \
	guest server store worker xen),$(fixtures))
endif
build/san/tests/lib.done: $(fixtures:%=build/san/%)
build/obj/tests/lib.done: $(fixtures:%=build/obj/%)
build/cov/tests/lib.done: $(fixtures:%=build/cov/%)
build/fuzz/tests/lib.done: $(fixtures:%=build/fuzz/%)
build/%/tests/lib.done:
	@touch $@
build/san/tests/% build/obj/tests/% build/cov/tests/% build/fuzz/tests/%: \
	ALL_CPPFLAGS += -I$(SRC)/tests $(CMOCKA_CFLAGS)

# The core with its accesses to guest memory hooked; see tests/hooked.
hooked_objects := $(patsubst %.c,build/hooked/%.o,$(core_sources))

build/hooked/%.o: $(SRC)/%.c config.h
	@mkdir -p $(@D)
	@echo "  CC hook $<"
	@$(CC) -I$(SRC)/tests/hooked $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(SAN) \
		-c -o $@ $<

build/tests/hooked_reads: $(hooked_objects)

check-unit: $(if $(TESTS),$(TESTS:%=build/tests/%),$(unit_tests))
	@FILTER='$(FILTER)' $(SRC)/tests/run-unit $^

# What takes most of the time of the unit tests, and finds least in a change.
slow_tests := $(addprefix build/tests/,exhaustive_chains hostile_mutator \
	virtio_adopt_killed virtio_blk_soak virtio_recover)

check-quick: all check-layers check-conformance check-manual \
		$(filter-out $(slow_tests),$(unit_tests))
	@$(SRC)/tests/run-unit $(filter-out $(slow_tests),$(unit_tests))

# ---- the rest of the tests -----------------------------------------------

check-layers: $(objects)
	@CC="$(CC)" $(SRC)/tests/check-layers $(SRC) $(objects)

lint: config.h
	@$(SRC)/tests/lint $(SRC) -- $(ALL_CPPFLAGS) -std=gnu11 $(XEN_CFLAGS) \
		$(INIH_CFLAGS) $(LIBURING_CFLAGS) -- $(lib_sources) $(main_source)

# ---- coverage of the core by its unit tests ------------------------------

cov_flags := -O0 -g --coverage
cov_objects := $(patsubst %.c,build/cov/%.o,$(lib_sources))
cov_tests := $(patsubst build/tests/%,build/cov/%, \
	$(filter build/tests/virtio_% build/tests/hostile_%,$(unit_tests)))

build/cov/%.o: $(SRC)/%.c config.h
	@mkdir -p $(@D)
	@echo "  CC cov  $<"
	@$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) $(cov_flags) $(CMOCKA_CFLAGS) \
		-c -o $@ $<

build/cov/libvirtio-disk.a: $(cov_objects)
	@rm -f $@ && $(AR) rcs $@ $^

build/cov/%: build/cov/tests/unit/%.o build/cov/libvirtio-disk.a \
		build/cov/tests/lib.done
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) --coverage $$(sed -n \
		's,^/\* LDFLAGS: \(.*\) \*/$$,\1,p' $(SRC)/tests/unit/$*.c) \
		-o $@ $< $$($(SRC)/tests/fixtures build/cov tests/unit/$*) \
		build/cov/libvirtio-disk.a $(CMOCKA_LIBS) $(ALL_LIBS)

coverage: $(cov_tests)
	@$(SRC)/tests/coverage $(SRC) $(core_sources) -- $(cov_tests)

# ---- fuzz targets: clang's libFuzzer, ASan and UBSan ---------------------

FUZZ_CC ?= clang
SECONDS ?= 60
fuzz_flags := -O1 -g -fsanitize=address,undefined \
	-fno-sanitize-recover=undefined -fno-omit-frame-pointer
fuzz_cflags = -std=gnu11 $(fuzz_flags) -fsanitize=fuzzer-no-link -Wall \
	$(XEN_CFLAGS) $(INIH_CFLAGS) $(LIBURING_CFLAGS) $(CMOCKA_CFLAGS) \
	-MMD -MP
fuzz_sources := $(filter-out $(if $(filter yes,$(HAVE_XEN)),,tests/fuzz/store.c), \
	$(patsubst $(SRC)/%,%,$(wildcard $(SRC)/tests/fuzz/*.c)))
fuzz_objects := $(patsubst %.c,build/fuzz/%.o,$(lib_sources))
fuzz_targets := $(patsubst tests/fuzz/%.c,build/fuzz/%,$(fuzz_sources))

build/fuzz/%.o: $(SRC)/%.c config.h
	@mkdir -p $(@D)
	@echo "  CC fuzz $<"
	@$(FUZZ_CC) $(ALL_CPPFLAGS) $(fuzz_cflags) -c -o $@ $<

build/fuzz/libvirtio-disk.a: $(fuzz_objects)
	@rm -f $@ && $(AR) rcs $@ $^

build/fuzz/%: build/fuzz/tests/fuzz/%.o build/fuzz/libvirtio-disk.a \
		build/fuzz/tests/lib.done
	@echo "  LINK    $@"
	@$(FUZZ_CC) $(fuzz_flags) -fsanitize=fuzzer $$(sed -n \
		's,^/\* LDFLAGS: \(.*\) \*/$$,\1,p' $(SRC)/tests/fuzz/$*.c) \
		-o $@ $< $$($(SRC)/tests/fixtures build/fuzz tests/fuzz/$*) \
		build/fuzz/libvirtio-disk.a $(CMOCKA_LIBS) $(ALL_LIBS)

fuzz check-fuzz: $(fuzz_targets)
	@$(SRC)/tests/fuzz/run.sh "$(SRC)" $(SECONDS) \
		$(if $(TARGET),build/fuzz/$(TARGET),$(fuzz_targets))

fuzz-corpus: $(fuzz_targets)
	@$(SRC)/tests/fuzz/corpus.sh $(SRC) $(fuzz_targets)

# ---- the rest of the tests -----------------------------------------------

check-matrix: config.h
	@$(SRC)/tests/matrix $(SRC) $(or $(MATRIX),full)

check-conformance:
	@$(SRC)/tests/check-conformance $(SRC)

check-planted: $(unit_tests)
	@$(SRC)/tests/planted.sh $(SRC) $(unit_tests)

check-build: $(SRC)/configure
	@$(SRC)/tests/check-build $(SRC)

.PHONY: check-manual check-program
check-manual: virtio-disk
	@$(SRC)/tests/check-manual $(SRC) ./virtio-disk

check-program: virtio-disk
	@$(SRC)/tests/program/run.sh ./virtio-disk

check-vhost: virtio-disk
	@$(SRC)/tests/vhost/run.sh ./virtio-disk

check-vhost-guest: virtio-disk
	@$(SRC)/tests/vhost/guest.sh ./virtio-disk

# Programs of tests/torture: the drivers share what is not main().
.PHONY: torture check-torture
torture_mains := torture hazard leaks lost slow_store
torture_shared := $(patsubst $(SRC)/tests/torture/%.c, \
	build/torture/tests/torture/%.o, $(filter-out \
	$(torture_mains:%=$(SRC)/tests/torture/%.c) \
	$(SRC)/tests/torture/unlocked.c,$(wildcard $(SRC)/tests/torture/*.c)))
torture_programs := $(patsubst $(SRC)/tests/torture/%.c,build/torture/%, \
	$(wildcard $(torture_mains:%=$(SRC)/tests/torture/%.c)))

build/torture/%.o: $(SRC)/%.c config.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) -I$(SRC)/tests/torture $(ALL_CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<

build/torture/%: build/torture/tests/torture/%.o $(torture_shared)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpthread

build/torture/unlocked.so: $(SRC)/tests/torture/unlocked.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) -D_GNU_SOURCE -shared -fPIC -O2 $(WARN_CFLAGS) -o $@ $<

torture_programs += build/torture/unlocked.so
check-torture: virtio-disk $(torture_programs)
	@$(SRC)/tests/torture/run.sh ./virtio-disk build/torture

torture: virtio-disk $(torture_programs)
	@FORM=long $(SRC)/tests/torture/run.sh ./virtio-disk build/torture

# Xen's libraries and their host (tests/double), with the load of tests/torture.
.PHONY: double check-double
double_names := libxendevicemodel.so.1 libxenforeignmemory.so.1 \
	libxenevtchn.so.1 libxentoolcore.so.1 libxenstore.so.4 libxenctrl.so.4.17
double_mains := kills watched
double_shared := $(patsubst %,build/double/tests/double/%.o,host domain store \
	driver program rest toolstack) $(patsubst %,build/double/tests/torture/%.o,common \
	load oracle ring)

build/double/%.o: $(SRC)/%.c config.h
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) -I$(SRC)/tests/double -I$(SRC)/tests/torture -I$(SRC)/tests \
		$(ALL_CPPFLAGS) \
		$(ALL_CFLAGS) -c -o $@ $<

build/double/%: build/double/tests/double/%.o $(double_shared)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpthread

build/double/lib/double.so: $(patsubst %,$(SRC)/tests/double/%.c,library \
		library_store) $(SRC)/tests/double/library.h \
		$(SRC)/tests/double/wire.h
	@mkdir -p $(@D)
	@echo "  CC      $(filter %.c,$^)"
	@$(CC) -std=gnu11 -D_GNU_SOURCE -shared -fPIC -O2 -g $(WARN_CFLAGS) \
		$(XEN_CFLAGS) -o $@ $(filter %.c,$^) -lpthread
	@for name in $(double_names); do ln -sf double.so $(@D)/$$name; done

build/double/alloc.so: $(SRC)/tests/faults/alloc.c
	@mkdir -p $(@D)
	@echo "  CC      $<"
	@$(CC) -std=gnu11 -D_GNU_SOURCE -shared -fPIC -O2 $(WARN_CFLAGS) -o $@ $<

build/double/faults: $(patsubst %,build/double/tests/%.o,faults/main \
		faults/daemon double/faulted) $(double_shared)
	@echo "  LINK    $@"
	@$(CC) $(ALL_LDFLAGS) -o $@ $^ -lpthread

double_programs := build/double/faults build/double/alloc.so build/double/lib/double.so \
	$(double_mains:%=build/double/%) build/torture/slow_store
check-double: virtio-disk $(double_programs)
	@$(SRC)/tests/double/run.sh ./virtio-disk build/double

double: virtio-disk $(double_programs)
	@FORM=long $(SRC)/tests/double/run.sh ./virtio-disk build/double

.PHONY: faults check-faults
check-faults: virtio-disk
	@CC="$(CC)" $(SRC)/tests/faults/run.sh sample ./virtio-disk

faults: virtio-disk
	@CC="$(CC)" $(SRC)/tests/faults/run.sh all ./virtio-disk

.PHONY: check-power power
check-power: virtio-disk
	@$(SRC)/tests/power/run.sh ./virtio-disk

power: virtio-disk
	@LONG=1 $(SRC)/tests/power/run.sh ./virtio-disk

check-xen:
	@$(SRC)/tests/rig/check-xen.sh

check:
	@$(SRC)/tests/check

demo:
	@$(SRC)/tests/rig/demo.sh

bench-xen:
	@$(SRC)/tests/rig/bench-xen.sh

bench:
	@$(SRC)/tests/bench/bench.sh --write-docs

bench-quick:
	@$(SRC)/tests/bench/bench.sh --quick

bench-core:
	@$(SRC)/tests/bench/core.sh

# ---- housekeeping --------------------------------------------------------

# As it stands, with what is not committed yet. Files that are not newer than one
# another are not made again, so nobody needs autoconf; and the same commit makes
# the same tarball.
DIST = virtio-disk-$(VERSION)
dist: config.mk
	@rm -rf build/dist && mkdir -p build/dist
	@cd $(SRC) && now=$$(git -c user.name=dist -c user.email=dist \
		stash create) && git archive --prefix=$(DIST)/ $${now:-HEAD} | \
		tar -x -C $(CURDIR)/build/dist
	@cd build/dist/$(DIST) && autoreconf -fi && \
		rm -rf autom4te.cache configure~ config.h.in~
	@tar -c -C build/dist --sort=name --owner=0 --group=0 --numeric-owner \
		--mtime=@$$(git -C $(SRC) log -1 --format=%ct) $(DIST) | \
		gzip -9n >$(DIST).tar.gz
	@rm -rf build/dist
	@echo $(DIST).tar.gz

clean:
	rm -rf build virtio-disk

distclean: clean
	rm -rf config.mk config.h config.log config.status autom4te.cache
	cd $(SRC) && [ ! -e .git ] || rm -rf configure config.h.in \
		config.h.in~ configure~ aclocal.m4 build-aux

help:
	@printf 'make %s\n' $(help_text)

-include $(patsubst %.o,%.d,$(objects) $(san_objects) $(hooked_objects) \
	$(main_source:%.c=build/obj/%.o) build/san/tests/filter.o \
	$(unit_tests:build/tests/%=build/san/tests/unit/%.o) \
	$(foreach kind,san obj cov fuzz,$(fixtures:%=build/$(kind)/%)) \
	$(plain_tests:build/tests/%=build/obj/tests/unit/%.o) \
	$(double_shared) $(double_mains:%=build/double/tests/double/%.o) \
	$(torture_shared) $(torture_mains:%=build/torture/tests/torture/%.o) \
	$(cov_objects) $(cov_tests:build/cov/%=build/cov/tests/unit/%.o) \
	$(fuzz_objects) $(fuzz_targets:build/fuzz/%=build/fuzz/tests/fuzz/%.o) \
	$(foreach kind,san cov fuzz,$(fixtures:%=build/$(kind)/%)))
