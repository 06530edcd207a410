# p11rest: `make` builds, `make demo` shows, `make test` checks all that there is to check.
#
#   CARGO_TARGET_DIR   where to build; target
#   PREFIX, DESTDIR    where `make install` puts it; /usr/local
#   LIBDIR             where it puts the module; PREFIX/lib
#   FUZZ_TIME          seconds that `make fuzz` gives each target; 60

MAKEFLAGS += --no-print-directory

CARGO ?= cargo
PREFIX ?= /usr/local
LIBDIR ?= $(PREFIX)/lib
INSTALL ?= install
FUZZ_TIME ?= 60

# Absolute, since tests run in other directories.
target := $(abspath $(or $(CARGO_TARGET_DIR),target))
export CARGO_TARGET_DIR := $(target)
export P11REST_MODULE := $(target)/release/libp11rest.so
export P11REST_TOOL := $(target)/release/p11rest
# The module's logs in the tests, at the finest level, and what must not be in them.
export P11REST_LOGS := $(target)/tmp/logs
export P11REST_PYTHON := $(target)/python/bin/python
export P11REST_NODE_MODULES := $(target)/node/node_modules

# For those who work on it: with private items, so links to them are right.
rustdoc := RUSTDOCFLAGS='-D warnings -A rustdoc::private-intra-doc-links' \
	$(CARGO) doc --locked --no-deps --document-private-items

.PHONY: all module tools demo bench test soak fuzz fuzz-lock setup style deny lint unit c-programs applications logs share \
	install uninstall package clean

all: tools

# Alone, so that no feature which a tool asks of a package that both use gets into the module.
module:
	$(CARGO) build --locked --release -p p11rest

tools: module
	$(CARGO) build --locked --release -p p11rest-cli

demo:
	tests/setup build
	$(MAKE) tools
	$(P11REST_TOOL) demo

# The module beside a bare loop and reqwest: about five minutes on a machine that has nothing else to do. The report is
# target/bench/report.md. Then the pieces of a signature.
bench:
	tests/setup bench
	$(MAKE) tools
	$(P11REST_TOOL) bench --out $(target)/bench
	$(CARGO) bench --locked -p p11rest --features fuzzing

# What fails fast comes first.
test:
	tests/setup test
	$(MAKE) style
	$(MAKE) deny
	$(MAKE) lint
	$(MAKE) tools
	rm -rf $(P11REST_LOGS)
	$(MAKE) unit
	$(MAKE) applications
	$(MAKE) logs

# What takes minutes, besides `test`.
soak: tools
	$(CARGO) test --locked --no-fail-fast -p p11rest --test soak

# Where cargo-fuzz and a nightly are, or RUSTC_BOOTSTRAP=1 is set. What it finds is in fuzz/artifacts: once mended it
# belongs into fuzz/corpus, which `unit` runs. What it learns stays in the target folder.
fuzz: fuzz-lock
	for name in arguments config der http json; do \
		mkdir -p $(target)/fuzz/$$name && \
		$(CARGO) fuzz run $$name $(target)/fuzz/$$name fuzz/corpus/$$name -- \
			-max_total_time=$(FUZZ_TIME) -max_len=70000 -timeout=20 || exit 1; \
	done

# A workspace of its own, with the versions of this one.
fuzz-lock:
	cp Cargo.lock fuzz/Cargo.lock

setup:
	tests/setup test

style:
	$(CARGO) fmt --all --check

deny:
	$(CARGO) deny --workspace --locked check bans licenses sources
	@if timeout 120 $(CARGO) deny fetch db >/dev/null 2>&1; \
	then $(CARGO) deny --workspace --locked check advisories; \
	else echo 'advisories: not checked'; fi

lint: fuzz-lock
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked -p p11rest --bench pieces --features fuzzing -- -D warnings
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml -- -D warnings
	$(rustdoc) --workspace --lib
	$(rustdoc) -p p11rest-cli

# Unit tests, the C programs, the suites that use the built module, and the emulator's and the tool's own.
unit: tools
	CARGO='$(CARGO)' tests/run

# A part of `unit`.
c-programs: tools
	$(CARGO) test --locked -p p11rest --test c_programs

applications: setup tools
	tests/applications/run

# Behind `unit` and `applications`: no log of theirs has a secret or a byte of data in it.
logs:
	$(CARGO) test --locked -p p11rest --test log_check -- --nocapture

# What is installed in $(PREFIX)/share, as it is in $(target)/share: manual pages and shell completion.
shared := man/man1/p11rest.1 man/man5/p11rest.toml.5 bash-completion/completions/p11rest \
	zsh/site-functions/_p11rest fish/vendor_completions.d/p11rest.fish

share: all
	mkdir -p $(addprefix $(target)/share/,$(sort $(dir $(shared))))
	$(P11REST_TOOL) man --out $(target)/share/man
	mv $(target)/share/man/p11rest.1 $(target)/share/man/man1
	mv $(target)/share/man/p11rest.toml.5 $(target)/share/man/man5
	$(P11REST_TOOL) completion bash >$(target)/share/bash-completion/completions/p11rest
	$(P11REST_TOOL) completion zsh >$(target)/share/zsh/site-functions/_p11rest
	$(P11REST_TOOL) completion fish >$(target)/share/fish/vendor_completions.d/p11rest.fish

install: all share
	$(INSTALL) -D -m 644 $(P11REST_MODULE) $(DESTDIR)$(LIBDIR)/libp11rest.so
	$(INSTALL) -D -m 755 $(P11REST_TOOL) $(DESTDIR)$(PREFIX)/bin/p11rest
	$(INSTALL) -D -m 644 include/p11rest.h $(DESTDIR)$(PREFIX)/include/p11rest.h
	for file in $(shared); do \
		$(INSTALL) -D -m 644 $(target)/share/$$file $(DESTDIR)$(PREFIX)/share/$$file || exit 1; \
	done

uninstall:
	rm -f $(DESTDIR)$(LIBDIR)/libp11rest.so $(DESTDIR)$(PREFIX)/bin/p11rest $(DESTDIR)$(PREFIX)/include/p11rest.h
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/,$(shared))

# A Debian package, a tarball and their lists of components, into target/package.
package:
	tests/setup package
	$(MAKE) tools
	packaging/build $(target)/package

clean:
	rm -rf $(target)
