# SPDX-License-Identifier: GPL-2.0-or-later
#
# The two for a fresh machine:    make demo    make check
# Others: all lint format sanitize fuzz torture bench bench-keep bench-copy bench-switch install uninstall clean
# B=DIR builds elsewhere, beside the default: make B=build/clang CC=clang WERROR=-Werror
# FAILPOINTS=1 builds what tests can make die at any step: include/failpoint.h

B = build
PREFIX = /usr/local
CFLAGS = -O2 -g
VERSION := $(shell sed -n 's/^.define SNAPMGR_VERSION[[:space:]]*"\(.*\)"/\1/p' include/snapmgr.h)
SONAME = libsnapmgr.so.$(firstword $(subst ., ,$(VERSION)))

WARN = -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes $(WERROR)
HARDEN = -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Iinclude -I. -fPIC $(WARN) $(HARDEN) $(CFLAGS) \
	$(if $(FAILPOINTS),-DSNAPMGR_FAILPOINTS)
ALL_LDFLAGS = -Wl,--as-needed -Wl,-z,relro,-z,now -Wl,-z,noexecstack $(LDFLAGS)
Q = $(if $(V),,@echo '  $@';) # V=1 shows the commands
LIBS = -ldevmapper -lblkid -lsqlite3 -ljansson -laio -lpthread

# ---- sources, a list for each room ----

BASE_SRC = $(addprefix snapmgr/base/, \
	crc32c.c error.c forked.c name.c size.c system.c text.c uuid.c $(if $(FAILPOINTS),failpoint.c))
DM_SRC = $(addprefix dm/, \
	cached.c cow.c critical.c guard.c guard_child.c kernel.c link.c purge.c query.c switch.c thin.c udev.c)
IO_SRC = $(addprefix io/, compare.c copy.c end.c map.c pending.c ring.c walk.c window.c zero.c)
HOST_SRC = $(addprefix snapmgr/host/, \
	device.c file_users.c freeze.c fsdev.c holders.c identity.c loops.c mountinfo.c mountopts.c mounts.c namespaces.c \
	openers.c probe.c remount.c scan.c stack.c sys.c thawer.c unmount.c upper.c)
CATALOGUE_SRC = $(addprefix snapmgr/catalogue/, \
	catalogue.c check.c extent_rows.c garbage_rows.c group_rows.c lock.c message_rows.c note.c operation_rows.c pool_row.c \
	progress.c quota_rows.c region.c row.c \
	rundir.c schema.c set_rows.c snapshot_rows.c statement.c superblock.c superblock_io.c tag_rows.c \
	undo_rows.c vfs.c vfs_shm.c volume_rows.c \
	dump.c dump_read.c property_rows.c restore.c)
DRIVER_SRC = $(addprefix snapmgr/drivers/, \
	diff.c cow.c cow_device.c cow_diff.c cow_pool.c cow_store.c cow_switch.c cow_volume.c vdev.c \
	file.c file_copy.c file_diff.c file_fill.c file_loop.c file_pool.c file_switch.c file_rewrite.c file_volume.c \
	names.c regions.c registry.c thin.c thin_diff.c thin_meta.c thin_pool.c thin_repair.c thin_switch.c thin_wipe.c thin_volume.c)
CORE_SRC = $(addprefix snapmgr/core/, \
	diff.c fill.c filler.c reading.c revert_clone.c rewrite.c rewrite_settle.c snapshot_copy.c clone_copy.c \
	backup.c inactive.c inventory.c lasting.c lasting_recover.c metadata_repair.c pool_dump.c pool_property.c pool_restore.c \
	activate.c aside.c capabilities.c claim.c claim_file.c cancel.c copy.c copy_source.c copy_within.c create.c create_blank.c delete.c displace.c find.c \
	folder.c folder_check.c folder_create.c folder_show.c folder_state.c \
	garbage.c group.c group_object.c handle.c head.c layout.c list.c members.c members_use.c names.c \
	message.c messages.c monitor.c moment.c monitor_pool.c object.c operation.c operations.c origin.c pool.c \
	pool_check.c pool_create.c pool_destroy.c pool_extend.c pool_list.c pool_stale.c pool_start.c \
	pool_state.c pool_stop.c property.c quota.c recover.c recover_group.c rename.c reset_state.c resize.c revert.c revert_group.c snapshot.c space.c \
	states.c store.c store_attach.c store_resize.c store_watch.c merge.c merge_tend.c merge_wait.c strategy.c together.c undo.c undo_group.c vet.c view.c)
CLI_SRC = $(addprefix snapmgr/cli/, \
	args.c cmd_copy.c cmd_delete.c cmd_diff.c cmd_dump.c cmd_group.c cmd_list.c cmd_message.c cmd_monitor.c cmd_operation.c cmd_pool.c \
	cmd_property.c cmd_quota.c \
	cmd_recover.c cmd_revert.c cmd_snapshot.c \
	cmd_tree.c cmd_undo.c cmd_volume.c common.c confirm.c help.c json.c main.c object.c \
	out.c pack.c pool_info.c progress.c revert_report.c table.c text.c tree.c)
LIB_SRC = $(BASE_SRC) $(DM_SRC) $(IO_SRC) $(HOST_SRC) $(CATALOGUE_SRC) $(DRIVER_SRC) $(CORE_SRC)

LIB_OBJ = $(LIB_SRC:%.c=$(B)/%.o)
CLI_OBJ = $(CLI_SRC:%.c=$(B)/%.o)
LIB_A = $(B)/lib/libsnapmgr.a
LIB_SO = $(B)/lib/libsnapmgr.so.$(VERSION)
PROGRAMS = $(if $(CLI_SRC),$(B)/bin/snapmgr)

all: $(LIB_A) $(LIB_SO) $(PROGRAMS)

$(B)/%.o: %.c $(B)/flags
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(B)/flags: FORCE
	@mkdir -p $(@D); echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' | cmp -s - $@ || \
		echo '$(CC) $(ALL_CFLAGS) $(ALL_LDFLAGS)' >$@

# Its json_object() and libjansson's are two: one that the command exported could take the other's place.
$(CLI_OBJ): private ALL_CFLAGS += -fvisibility=hidden

# The list of members, so that a source that leaves the list leaves the library too.
$(B)/members: FORCE
	@mkdir -p $(@D); echo '$(LIB_OBJ) $(CLI_OBJ)' | cmp -s - $@ || echo '$(LIB_OBJ) $(CLI_OBJ)' >$@

$(LIB_A): $(LIB_OBJ) $(B)/members
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcsD $@ $(LIB_OBJ)

EXPORTS = LIBSNAPMGR_0 { global: snapmgr_*; local: *; };
$(B)/exports: FORCE
	@mkdir -p $(@D); echo '$(EXPORTS)' | cmp -s - $@ || echo '$(EXPORTS)' >$@

$(LIB_SO): $(LIB_OBJ) $(B)/members $(B)/exports
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -shared -Wl,-soname,$(SONAME) -Wl,-Bsymbolic-functions \
		-Wl,--version-script,$(B)/exports -o $@ $(LIB_OBJ) $(LIBS)
	@ln -sf $(@F) $(@D)/$(SONAME)
	@ln -sf $(SONAME) $(@D)/libsnapmgr.so

$(B)/bin/snapmgr: $(CLI_OBJ) $(LIB_A) $(B)/members
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -pie -o $@ $(CLI_OBJ) $(LIB_A) $(LIBS)

# ---- tests: each C test is a program of its own, each shell test is copied and made executable ----

UNIT_TESTS = $(patsubst %.c,$(B)/%,$(wildcard tests/unit/*_test.c))
GUEST_C_TESTS = $(patsubst %.c,$(B)/%,$(wildcard tests/guest/*/*_test.c))
SHELL_TESTS = $(patsubst %.sh,$(B)/%, \
	$(wildcard tests/guest/*/*_test.sh tests/host/*_test.sh tests/torture/*/*.sh))
SHELL_LIBS = $(patsubst %,$(B)/%,$(wildcard tests/*.sh))
# What the programs that measure share, and those.
BENCH_PARTS = $(addprefix $(B)/tests/bench/,bare.o bench.o command.o fio.o lvm.o pool.o)
BENCHES = $(filter-out $(BENCH_PARTS:.o=),$(patsubst %.c,$(B)/%,$(wildcard tests/bench/*.c)))
TORTURES = $(patsubst %.c,$(B)/%,$(wildcard tests/torture/*/*.c))
FUZZERS = $(patsubst %.c,$(B)/%,$(wildcard tests/fuzz/*_fuzz.c))

FAILPOINTS_A = $(B)/failpoints/lib/libsnapmgr.a

# It holds the documentation against the code.
$(B)/tests/unit/core_verbs_test.o: private ALL_CFLAGS += -DSRC_DIR='"$(CURDIR)"'

unit-tests: $(UNIT_TESTS)
tests: $(UNIT_TESTS) $(GUEST_C_TESTS) $(SHELL_TESTS) $(SHELL_LIBS) $(BENCHES) $(TORTURES) $(if $(FAILPOINTS),,$(FAILPOINTS_A))

# The fakes that a unit test is linked with, before the library: one line for each that has some.
FAKE_KERNEL = $(addprefix $(B)/tests/unit/,fake_kernel.o fake_query.o fake_thin.o fake_guard.o)
$(filter $(B)/tests/unit/dm_%,$(UNIT_TESTS)): $(FAKE_KERNEL)
$(filter $(B)/tests/unit/vfs_test $(B)/tests/unit/catalogue_%,$(UNIT_TESTS)): $(B)/tests/unit/catalogue_rig.o
$(addprefix $(B)/tests/unit/,core_verbs_test core_quota_test core_clone_test core_lasting_test): $(B)/tests/unit/core_rig.o $(B)/tests/unit/catalogue_rig.o $(FAKE_KERNEL)
$(filter $(B)/tests/guest/dm/%,$(GUEST_C_TESTS)): $(B)/tests/guest/dm/rig.o

comma = ,
# What the kernel says to asynchronous requests comes through io_faults.o.
IO_TESTS = $(addprefix $(B)/tests/unit/,io_random_test io_fault_test io_copy_test) $(B)/tests/fuzz/io_fuzz
$(IO_TESTS): $(addprefix $(B)/tests/model/,io_plan.o io_faults.o)
$(IO_TESTS): private LDFLAGS += $(patsubst %,-Wl$(comma)--wrap=io_%,setup submit getevents destroy)

CLI_PARTS = $(addprefix $(B)/snapmgr/cli/, \
	args.o json.o object.o pack.o table.o text.o tree.o)
$(filter $(B)/tests/unit/cli_%,$(UNIT_TESTS)): $(CLI_PARTS)

$(filter $(B)/tests/guest/shost/%,$(GUEST_C_TESTS)): $(B)/tests/guest/shost/lab.o

$(filter $(B)/tests/guest/revert/% $(B)/tests/guest/online/% $(B)/tests/guest/crash/% \
	$(B)/tests/guest/volume/% $(B)/tests/guest/storm/% $(B)/tests/guest/group/%,$(GUEST_C_TESTS)): \
	$(B)/tests/guest/pool_lab.o
$(filter $(B)/tests/guest/quota/% $(B)/tests/guest/space/% $(B)/tests/guest/strategy/%,$(GUEST_C_TESTS)): $(B)/tests/guest/pool_lab.o

$(filter $(B)/tests/guest/cow/%,$(GUEST_C_TESTS)): $(B)/tests/guest/pool_lab.o
$(filter $(B)/tests/guest/drivers/%,$(GUEST_C_TESTS)): $(B)/tests/guest/pool_lab.o $(B)/tests/guest/drivers/bed.o \
	$(B)/tests/guest/watch.o
$(B)/tests/guest/drivers/fault_test: private LDFLAGS += -Wl,--wrap=io_submit

# A model of a pool, and what records and replays its disks.
MODEL = $(addprefix $(B)/tests/model/,model.o do.o look.o slot.o)
REPLAY = $(MODEL) $(addprefix $(B)/tests/model/,rig.o wlog.o)
$(B)/tests/guest/faults/replay_test $(B)/tests/guest/faults/disk_test $(B)/tests/torture/guest/replay: $(REPLAY)
$(B)/tests/guest/faults/replay_test: private LDFLAGS += -Wl,--wrap=fdatasync
$(BENCHES): $(BENCH_PARTS)
STEPS_WATCHED = dm_task_create dm_task_run fdatasync pwrite pread open ioctl fcntl
$(B)/tests/bench/steps: private LDFLAGS += $(STEPS_WATCHED:%=-Wl,--wrap=%)
$(B)/tests/bench/switch: $(MODEL) $(B)/tests/model/wlog.o
# What runs in the guests whose plug is pulled.
WORKERS = $(addprefix $(B)/tests/host/,plug_work cut_work)
$(B)/tests/host/plug_work: $(MODEL)
$(B)/tests/host/cut_work: private LDFLAGS += -Wl,--wrap=io_submit
tests: $(WORKERS)

# These make calls of the library fail.
WRAPPED = scat_commit scat_open sdm_load sdm_resume
$(B)/tests/guest/revert/fault_test $(B)/tests/guest/group/fault_test: private LDFLAGS += $(WRAPPED:%=-Wl,--wrap=%)

# The storm watches two of them.
STORMS = $(B)/tests/guest/storm/storm_test $(B)/tests/torture/guest/storm
$(STORMS): $(addprefix $(B)/tests/guest/storm/,storm.o acts.o find.o shapes.o model.o)
$(STORMS): private LDFLAGS += -Wl,--wrap=scat_commit -Wl,--wrap=sdm_switch_suspend
comma = ,
RACES = $(addprefix $(B)/tests/guest/storm/,race_test race_group_test race_quota_test)
$(RACES): $(B)/tests/guest/storm/racers.o
$(B)/tests/guest/storm/memory_test: private LDFLAGS += \
	$(addprefix -Wl$(comma)--wrap=,malloc calloc realloc reallocarray aligned_alloc)
$(B)/tests/guest/storm/wait_test: private LDFLAGS += -Wl,--wrap=scat_commit

$(UNIT_TESTS) $(GUEST_C_TESTS): %: %.o $(LIB_A)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -pie -o $@ $(filter %.o,$^) $(LIB_A) -latf-c $(LIBS)

# Programs that die at every step are linked with a library that can.
ifeq ($(FAILPOINTS),)
$(FAILPOINTS_A): FORCE
	@$(MAKE) --no-print-directory B=$(B)/failpoints FAILPOINTS=1 $@ $(B)/failpoints/bin/snapmgr
endif
STEPS_TORTURES = $(addprefix $(B)/tests/torture/guest/,steps steps_udev)
STEPS_TESTS = $(filter $(B)/tests/guest/steps/%,$(GUEST_C_TESTS)) $(STEPS_TORTURES)
$(B)/tests/guest/steps/%.o: private ALL_CFLAGS += -DSNAPMGR_FAILPOINTS
$(B)/tests/guest/cow/kill_test.o: private ALL_CFLAGS += -DSNAPMGR_FAILPOINTS
$(B)/tests/guest/cow/kill_test: private LIB_A = $(FAILPOINTS_A)
$(B)/tests/guest/cow/kill_test: $(FAILPOINTS_A)
$(B)/tests/guest/cow/fail_test: private LDFLAGS += -Wl,--wrap=sdm_create_idle
$(B)/tests/guest/steps/message_test: private LDFLAGS += -Wl,--wrap=sdm_message -Wl,--wrap=sdm_suspend
$(STEPS_TORTURES): private LIBS += -latf-c
$(STEPS_TESTS): private LIB_A = $(FAILPOINTS_A)
$(STEPS_TESTS): $(FAILPOINTS_A) $(addprefix $(B)/tests/guest/,pool_lab.o \
	$(addprefix steps/,engine.o picture.o scene.o verbs.o verbs_group.o verbs_more.o))

$(BENCHES) $(TORTURES) $(WORKERS): %: %.o $(LIB_A)
	$(Q)$(CC) $(CFLAGS) $(ALL_LDFLAGS) -pie -o $@ $(filter %.o,$^) $(LIB_A) $(LIBS)

$(FUZZERS): %: %.o $(LIB_A)
	$(Q)$(CC) $(CFLAGS) -fsanitize=fuzzer $(ALL_LDFLAGS) -o $@ $(filter %.o,$^) $(LIB_A) $(LIBS)

$(SHELL_TESTS): $(B)/%: %.sh
	@mkdir -p $(@D)
	@cp $< $@.new && chmod 755 $@.new && mv $@.new $@

$(SHELL_LIBS): $(B)/%: %
	@mkdir -p $(@D)
	@cp $< $@

# ---- what a developer says ----

JOBS = --no-print-directory -j$(shell nproc)

bootstrap:
	@scripts/bootstrap

demo: bootstrap
	@$(MAKE) $(JOBS) all
	@scripts/demo

check: bootstrap
	@$(MAKE) $(JOBS) all tests
	@scripts/check '$(TESTS)'

lint:
	@scripts/lint

format:
	clang-format -i $(shell find dm io include snapmgr tests scripts -name '*.[ch]' 2>/dev/null)

SANITIZE = -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
sanitize:
	@$(MAKE) $(JOBS) B=$(B)/sanitize HARDEN= CFLAGS='$(SANITIZE)' unit-tests
	@echo 'leak:libatf-c' >$(B)/sanitize/leaks
	@LSAN_OPTIONS=print_suppressions=0:suppressions=$(abspath $(B))/sanitize/leaks \
		UBSAN_OPTIONS=print_stacktrace=1 B=$(B)/sanitize scripts/check 'unit/*'

SECONDS = 60
FUZZ = -fsanitize=fuzzer-no-link -fprofile-instr-generate -fcoverage-mapping
fuzz:
	@$(MAKE) $(JOBS) B=$(B)/fuzz CC=clang HARDEN= CFLAGS='$(SANITIZE) $(FUZZ)' fuzzers
	@B=$(B)/fuzz scripts/fuzz '$(SECONDS)'
fuzzers: $(FUZZERS)

# Replayed from its seed: make torture SEED=n; of one program: ONLY=NAME; a single round: MINUTES=0.
MINUTES = 10
SEED = 1
torture: bootstrap
	@$(MAKE) $(JOBS) all tests
	@scripts/torture '$(MINUTES)' '$(SEED)' $(ONLY)

# What it costs, against bare libdevmapper, LVM and fio: scripts/bench says what may be set. All rows, or
# some: make bench ROWS="1 2". Shorter: QUICK=1.
bench:
	@scripts/bootstrap --bench
	@$(MAKE) $(JOBS) all $(BENCHES)
	@scripts/bench $(ROWS)
# The table of doc/SCALE.md.
bench-scale:
	@$(MAKE) $(JOBS) all $(B)/tests/bench/scale
	@scripts/sandbox --mem 1536M --disk 24G -- $(B)/tests/bench/scale
# The tables of doc/PERFORMANCE.md.
bench-steps:
	@$(MAKE) $(JOBS) all $(B)/tests/bench/steps
	@scripts/sandbox --disk 4G -- $(B)/tests/bench/steps
bench-keep:
	@scripts/bench-keep $(KEEP)
export QUICK

# The copy engine against fio, dd and qemu-img, 4 GiB on disk files and on RAM disks; less: QUICK=1.
COPY_MIB = $(if $(QUICK),512,4096)
bench-copy:
	@scripts/bootstrap --bench
	@$(MAKE) $(JOBS) all $(B)/tests/bench/copy_engine
	@BENCH_BACKING=disk BENCH_OUT=/dev/null BENCH_QUICK=$(QUICK) scripts/sandbox --disk $(COPY_MIB)M \
		--disk $(COPY_MIB)M --timeout 3000 $(B)/tests/bench/copy_engine
	@BENCH_BACKING=ram BENCH_OUT=/dev/null BENCH_RAM_MIB=$(COPY_MIB) BENCH_QUICK=$(QUICK) scripts/sandbox \
		--mem $$((2 * $(COPY_MIB) + 1024))M --timeout 3000 $(B)/tests/bench/copy_engine

bench-switch:
	@$(MAKE) $(JOBS) all $(B)/tests/bench/switch
	@scripts/sandbox --disk 4G --disk 4G -- sh -c 'exec $$0 $$SANDBOX_DISKS' $(B)/tests/bench/switch

# ---- installation ----

MAN8 = $(wildcard doc/*.8)
MAN3 = $(wildcard doc/*.3)
RULES = $(wildcard dm/udev/*.rules)
SHARE = $(wildcard dm/udev/*.conf)
UNIT = snapmgr-monitor@.service
DIR = $(DESTDIR)$(PREFIX)
INSTALLED = $(addprefix bin/,$(notdir $(PROGRAMS))) include/snapmgr.h \
	lib/libsnapmgr.a lib/libsnapmgr.so lib/$(SONAME) lib/libsnapmgr.so.$(VERSION) \
	lib/pkgconfig/snapmgr.pc lib/systemd/system/$(UNIT) $(RULES:dm/udev/%=lib/udev/rules.d/%) \
	$(SHARE:dm/udev/%=share/snapmgr/%) $(MAN8:doc/%=share/man/man8/%) \
	$(MAN3:doc/%=share/man/man3/%)

$(B)/snapmgr.pc: Makefile include/snapmgr.h FORCE
	@printf '%s\n' 'prefix=$(PREFIX)' 'Name: snapmgr' 'Version: $(VERSION)' \
		'Description: snapshot trees and revert in place for block devices' \
		'Requires.private: devmapper blkid sqlite3 jansson' 'Cflags: -I$${prefix}/include' \
		'Libs: -L$${prefix}/lib -lsnapmgr' 'Libs.private: -laio -lpthread' >$@

$(B)/$(UNIT): scripts/systemd/$(UNIT).in Makefile FORCE
	@sed 's|@PREFIX@|$(PREFIX)|' $< >$@

install: all $(B)/snapmgr.pc $(B)/$(UNIT)
	install -d $(sort $(dir $(addprefix $(DIR)/,$(INSTALLED))))
	$(if $(PROGRAMS),install -m 755 $(PROGRAMS) $(DIR)/bin)
	install -m 644 include/snapmgr.h $(DIR)/include
	install -m 644 $(LIB_A) $(DIR)/lib
	install -m 755 $(LIB_SO) $(DIR)/lib
	cp -P $(B)/lib/$(SONAME) $(B)/lib/libsnapmgr.so $(DIR)/lib
	install -m 644 $(B)/snapmgr.pc $(DIR)/lib/pkgconfig
	install -m 644 '$(B)/$(UNIT)' $(DIR)/lib/systemd/system
	$(if $(RULES),install -m 644 $(RULES) $(DIR)/lib/udev/rules.d)
	$(if $(SHARE),install -m 644 $(SHARE) $(DIR)/share/snapmgr)
	$(if $(MAN8),install -m 644 $(MAN8) $(DIR)/share/man/man8)
	$(if $(MAN3),install -m 644 $(MAN3) $(DIR)/share/man/man3)

uninstall:
	rm -f $(addprefix $(DIR)/,$(INSTALLED))
	@rmdir $(DIR)/share/snapmgr 2>/dev/null || true

clean:
	rm -rf $(B)

FORCE:
.PHONY: all tests unit-tests fuzzers bootstrap demo check lint format sanitize fuzz torture bench bench-keep \
	bench-copy bench-scale bench-steps bench-switch install uninstall clean FORCE
.DELETE_ON_ERROR:
.SECONDARY:

-include $(shell find $(B) -name '*.d' 2>/dev/null)
