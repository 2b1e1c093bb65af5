# make                 the program: build/zkfs
# make check           all tests, as CI runs them: scripts/check
# make check-unit      the tests of single modules: needs no server, no mount
# make check-mount     the tests on real mounts
# make check-asan      both under the address and undefined behaviour sanitizers
# make check-tsan      both under the thread sanitizer
# make check-valgrind  the unit tests under valgrind
# make check-fuzz      each fuzz target for a moment; fuzz: for FUZZ_SECONDS (60), with clang
# make lint            format, static analysis, layers, manual page; format: reformats all C files
# make demo, bench     shows it; measures it
# make install         to $(DESTDIR)$(PREFIX); uninstall. With PREFIX=/usr, "mount -t zkfs" and fstab find it
# make clean
#
# Variables: CC, CFLAGS, LDFLAGS, BUILD (where everything built goes), PREFIX, DESTDIR,
# SANITIZE=address,undefined or SANITIZE=thread (built into build/asan, build/tsan), V=1 (shows the commands).

VERSION = 0.1.0

SHELL = /bin/bash
.SHELLFLAGS = -o pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

CFLAGS ?= -O2 -g
PREFIX ?= /usr/local
SANITIZE ?=

ifeq ($(SANITIZE),)
BUILD ?= build
hardening = -D_FORTIFY_SOURCE=2 -fstack-protector-strong
else
BUILD ?= build/$(if $(filter thread,$(SANITIZE)),tsan,asan)
hardening = -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
endif

# --- What this machine has ---

hash := \#
goals := $(or $(MAKECMDGOALS),all)
# $(call need,COMMAND THAT PRINTS SOMETHING IF IT IS THERE,DEBIAN PACKAGE,GROUP OF scripts/packages)
need = $(if $(shell $(1) 2>/dev/null),,$(error $(2) is missing; scripts/install-packages $(3) installs it))

# (check installs what is missing.)
ifneq ($(filter-out check clean format uninstall,$(goals)),)
$(call need,command -v $(firstword $(CC)),gcc,build)
$(call need,command -v pkg-config,pkg-config,build)
$(call need,pkg-config --modversion fuse3,libfuse3-dev,build)
$(call need,pkg-config --modversion libsystemd,libsystemd-dev,build)
$(call need,$(CC) -DTHREADED -E -x c -include zookeeper/zookeeper.h /dev/null,libzookeeper-mt-dev,build)
$(call need,$(CC) -E -x c -include md5.h /dev/null,libmd-dev,build)
$(call need,$(CC) -E -x c -include uthash.h /dev/null,uthash-dev,build)
endif
ifneq ($(filter-out check-fuzz,$(filter check-%,$(goals))),)
$(call need,pkg-config --modversion check,check,test)
endif

# --- How C is compiled ---

# Other people's headers are system headers: their warnings do not matter. uthash is one in /usr/include.
as_system = $(patsubst -I%,-isystem %,$(1))
cppflags := -D_GNU_SOURCE -DFUSE_USE_VERSION=314 -DTHREADED -DZKFS_VERSION='"$(VERSION)"' -I. \
	$(call as_system,$(shell pkg-config --cflags fuse3 libsystemd 2>/dev/null))
warnings := -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes
compile = $(CC) -std=gnu17 $(cppflags) $(CPPFLAGS) $(warnings) $(CFLAGS) $(hardening) -fPIE -MMD -MP
link = $(CC) $(CFLAGS) $(hardening) -fPIE -pie -Wl,-z,relro,-z,now $(LDFLAGS)
libs := $(shell pkg-config --libs fuse3 libsystemd 2>/dev/null) -lzookeeper_mt -lmd -lpthread

at = $(if $(V),,@)
quiet = @echo ' '

# Rewritten when any of this has changed, so that everything is built anew then.
$(BUILD)/flags: export now = $(compile) $(link) $(libs) $(sources)
$(BUILD)/flags: FORCE
	@mkdir -p $(BUILD)
	@printf '%s\n' "$$now" | cmp -s - $@ || printf '%s\n' "$$now" >$@

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(quiet) CC $<
	$(at)$(compile) -c -o $@ $<

# --- The program ---

.DEFAULT_GOAL := all
sources := $(sort $(wildcard cache/*.c cache/util/*.c fusefs/*.c))
objects := $(sources:%.c=$(BUILD)/%.o)

all: $(BUILD)/zkfs

# Everything but main(), for the tests as well: an object is only taken out of it for symbols that are still missing, so
# a test that brings a fake of a module never gets the true one.
# (q, not r: r would replace cache/x.o by fusefs/x.o.)
$(BUILD)/libzkfs.a: $(filter-out $(BUILD)/fusefs/main.o,$(objects)) $(BUILD)/flags
	$(quiet) AR $@
	@rm -f $@
	$(at)$(AR) qcs $@ $(filter %.o,$^)

$(BUILD)/zkfs: $(BUILD)/fusefs/main.o $(BUILD)/libzkfs.a
	$(quiet) LD $@
	$(at)$(link) -o $@ $^ $(libs)

# --- Tests ---

unit_sources := $(sort $(wildcard tests/unit/*/test_*.c))
unit_programs := $(unit_sources:%.c=$(BUILD)/%)
fake_sources := $(sort $(wildcard tests/fake/*.c))
# Lets a test make an allocation fail: see tests/unit/unit.h.
wrap := $(foreach function,malloc calloc realloc reallocarray strdup strndup,-Wl,--wrap=$(function))

$(unit_programs): $(BUILD)/%: $(BUILD)/%.o $(BUILD)/tests/unit/unit.o $(BUILD)/libzkfs.a
	$(quiet) LD $@
	$(at)$(link) $(wrap) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(libs) $(shell pkg-config --libs check)

# A test that includes "tests/fake/x.h" is linked with tests/fake/x.c.
fakes_of = $(shell sed -n 's,^$(hash)include "\(tests/fake/[a-z_]*\)\.h"$$,$(BUILD)/\1.o,p' $(1))
$(foreach source,$(unit_sources),$(eval $(source:%.c=$(BUILD)/%): $(call fakes_of,$(source))))

# gcc's thread sanitizer cannot place its shadow memory beside the random addresses of newer kernels.
run = $(if $(filter thread,$(SANITIZE)),setarch -R)
export UBSAN_OPTIONS ?= print_stacktrace=1
ifneq ($(wildcard tests/tsan.supp),)
export TSAN_OPTIONS ?= suppressions=$(CURDIR)/tests/tsan.supp
endif
unit = $(run) tests/unit/run $(unit_programs)
mount = $(run) tests/mount/run --zkfs $(BUILD)/zkfs

check:
	scripts/check

check-unit: $(unit_programs)
	$(unit)

check-mount: $(BUILD)/zkfs
	$(mount)

check-valgrind: $(unit_programs)
	UNIT_WRAPPER='valgrind -q --leak-check=full --error-exitcode=99' $(unit)

check-asan:
	$(MAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined check-both

check-tsan:
	$(MAKE) BUILD=$(BUILD)/tsan SANITIZE=thread check-both

# Adds up the last lines of both, as scripts/check does over all suites. Tests that can are smaller: it takes several times as long.
check-both: export ZKFS_TEST_SCALE ?= 0.3
check-both: $(unit_programs) $(BUILD)/zkfs
	@status=0; \
	$(unit) 2>&1 | tee $(BUILD)/unit.log || status=1; \
	$(mount) 2>&1 | tee $(BUILD)/mount.log || status=1; \
	tail -qn 1 $(BUILD)/unit.log $(BUILD)/mount.log | awk '\
		/^[0-9]+ passed, [0-9]+ failed/ { passed += $$1; failed += $$3; skipped += $$5; ended++ } \
		END { failed += 2 - ended; printf "%d passed, %d failed", passed, failed; \
			if (skipped) printf ", %d skipped", skipped; print ""; exit failed > 0 }' && exit $$status

# --- Fuzzing ---

FUZZ_SECONDS ?= 60
fuzz_sources := $(sort $(wildcard tests/fuzz/fuzz_*.c))
fuzz_programs := $(fuzz_sources:tests/fuzz/%.c=$(BUILD)/%)
# What they test, and what that needs: they are to be built in seconds.
fuzz_objects := $(patsubst %,$(BUILD)/%.o,$(addprefix cache/,acl credentials node servers wire util/buf util/bytes util/clock util/log) \
	$(addprefix fusefs/,mountpoint names options symlink transaction))

fuzz: FORCE
	$(call need,command -v clang,clang,fuzz)$(call need,ls "$$(clang -print-resource-dir)"/lib/*/libclang_rt.fuzzer*.a,\
	libclang-rt-dev,fuzz)$(at)$(MAKE) --no-print-directory BUILD=$(BUILD)/fuzz CC=clang SANITIZE=address,undefined \
		CFLAGS='-O1 -g -fsanitize=fuzzer-no-link' fuzz-programs
	tests/fuzz/run --seconds $(FUZZ_SECONDS) $(fuzz_programs:$(BUILD)/%=$(BUILD)/fuzz/%)

check-fuzz:
	$(at)$(MAKE) --no-print-directory FUZZ_SECONDS=2 fuzz

fuzz-programs: $(fuzz_programs)

$(fuzz_programs): $(BUILD)/%: $(BUILD)/tests/fuzz/%.o $(fuzz_objects)
	$(quiet) LD $@
	$(at)$(link) -fsanitize=fuzzer -o $@ $^ $(libs)

demo: $(BUILD)/zkfs
	scripts/demo

bench_of = $(addprefix $(BUILD)/tests/bench/,$(addsuffix .o,$(1)))

# Options: make bench BENCH='--rounds 1 --nodes 2000', tests/bench/run --help says which there are.
bench: $(addprefix $(BUILD)/,zkfs bench/bare bench/files bench/nullfs)
	tests/bench/run --build $(BUILD) $(BENCH)

$(BUILD)/bench/bare: $(call bench_of,bare client walk requests lock remote timing tree)
$(BUILD)/bench/files: $(call bench_of,files timing tree)
$(BUILD)/bench/nullfs: $(call bench_of,nullfs)
$(BUILD)/bench/%:
	@mkdir -p $(@D)
	$(quiet) LD $@
	$(at)$(link) -o $@ $^ $(libs)

# --- Lint ---

c_files := $(sort $(wildcard $(addsuffix *.[ch],cache/ cache/util/ fusefs/ \
	tests/unit/ tests/unit/*/ tests/fake/ tests/bench/ tests/mount/ tests/fuzz/)))
c_tidied := $(filter %.c,$(c_files))
shell_scripts = fusefs/zkfs.bash $(shell find scripts tests .ci -type f -exec awk 'FNR == 1 && (/^$(hash)!.*sh( |$$)/ || FILENAME ~ /\.sh$$/) \
	{ print FILENAME }' {} + 2>/dev/null)

lint: lint-format lint-tidy lint-cppcheck lint-shell lint-layers lint-manpage

lint-format:
	$(call need,command -v clang-format,clang-format,lint)clang-format --dry-run -Werror $(c_files)

lint-tidy:
	$(call need,command -v clang-tidy,clang-tidy,lint)@printf '%s\n' $(c_tidied) | \
		xargs -P "$$(nproc)" -I {} clang-tidy --quiet {} -- -std=gnu17 $(cppflags)

# It does not look into /usr/include by itself, and without them every loop of uthash is a riddle to it.
lint-cppcheck:
	$(call need,command -v cppcheck,cppcheck,lint)cppcheck --quiet --error-exitcode=1 --std=c11 --inline-suppr \
		--enable=warning,performance,portability --include=/usr/include/uthash.h --include=/usr/include/utlist.h \
		$(cppflags) cache fusefs

lint-shell:
	$(call need,command -v shellcheck,shellcheck,lint)shellcheck $(shell_scripts)

lint-layers:
	scripts/check-layers

lint-manpage:
	scripts/check-manpage

format:
	clang-format -i $(c_files)

# --- Install ---

bin = $(DESTDIR)$(PREFIX)/bin
sbin = $(DESTDIR)$(PREFIX)/sbin
include = $(DESTDIR)$(PREFIX)/include
man8 = $(DESTDIR)$(PREFIX)/share/man/man8
completions = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
units = $(DESTDIR)$(PREFIX)/lib/systemd/system

install: $(BUILD)/zkfs
	install -D -m 755 $(BUILD)/zkfs $(bin)/zkfs
	install -d $(sbin)
	ln -sfn ../bin/zkfs $(sbin)/mount.zkfs
	$(if $(wildcard fusefs/zkfs.h),install -D -m 644 fusefs/zkfs.h $(include)/zkfs.h)
	install -D -m 644 fusefs/zkfs.8 $(man8)/zkfs.8
	ln -sfn zkfs.8 $(man8)/mount.zkfs.8
	install -D -m 644 fusefs/zkfs.bash $(completions)/zkfs
	install -d $(units)
	sed 's,@bin@,$(PREFIX)/bin,' scripts/zkfs@.service >$(units)/zkfs@.service
	chmod 644 $(units)/zkfs@.service

uninstall:
	rm -f $(bin)/zkfs $(sbin)/mount.zkfs $(man8)/zkfs.8 $(man8)/mount.zkfs.8 $(if $(wildcard fusefs/zkfs.h),$(include)/zkfs.h) \
		$(completions)/zkfs $(units)/zkfs@.service

clean:
	rm -rf $(BUILD)

.PHONY: all check check-unit check-mount check-valgrind check-asan check-tsan check-both check-fuzz fuzz fuzz-programs \
	demo bench lint lint-format lint-tidy lint-cppcheck lint-shell lint-layers lint-manpage format install uninstall clean FORCE

-include $(objects:.o=.d) $(unit_sources:%.c=$(BUILD)/%.d) $(fake_sources:%.c=$(BUILD)/%.d) $(BUILD)/tests/unit/unit.d
-include $(wildcard $(BUILD)/tests/bench/*.d $(BUILD)/tests/fuzz/*.d)
