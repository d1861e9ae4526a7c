# SPDX-FileCopyrightText: 2026 coldchain.freezer contributors
# SPDX-License-Identifier: GPL-3.0-or-later
# Everything lands in .venv and build; `make help` lists the targets, tools/ has what is longer than a line.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
DEMO ?= $(CURDIR)/build/demo
ARTIFACT := build/dist/coldchain-freezer-$(shell sed -n 's/^version: *//p' galaxy.yml).tar.gz
# For `make units-all` and `make sanity-all`: every Python of a host, one ansible-core of each supported minor release.
PYTHONS := 3.9 3.10 3.11 3.12 3.13 3.14
# For `make test`, beside that of .venv: the oldest, the newest, and that of the newest distribution (3.13) with today's libraries.
TESTED := 3.9 3.14 newest
CORES := 2.18.19 2.19.14 2.20.10 2.21.5

# Where it is set, each process would compile all of its modules anew, tests start thousands.
unexport PYTHONDONTWRITEBYTECODE
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

.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*/\1/p' Makefile)

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

bootstrap: ## Debian's packages for all targets, as root; elsewhere a line that names what is missing
	@tools/bootstrap.sh

venv: .venv/.made-from ## .venv with ansible-core and all tools, as locked; .venv/bin/coldchain runs the working tree
.venv/.made-from: tests/requirements/tools.txt tools/make_venv.sh tools/venv.sh tools/coldchain
	@tools/make_venv.sh "$(PYTHON)"

build: venv ## the collection's artifact with the bundle inside, reproducible
	@tools/build.sh $(ARTIFACT)

install: build ## the artifact installed into build/collections, as a user would
	@tools/install.sh $(ARTIFACT)

demo: install ## backup, change, destroy, restore, compare: on this machine, without root
	ANSIBLE_CALLBACK_RESULT_FORMAT=yaml ansible-playbook coldchain.freezer.demo -e demo_directory=$(DEMO)

# Four, because each waits for half of its time: for hosts that boot, for servers, for disks.  With
# three, two cores had nothing to do for a sixth of theirs.  In the order of how long each takes,
# but lint: what begins last is short, and no core waits for it.
# What they need comes first, and is old then: make passes over what waits for something, if only
# for a moment, and begins it last.
test: bootstrap install pythons ## all checks and tests, four at a time, those that take longest first
	@rm -rf build/results
	$(MAKE) -j4 --output-sync=target $(addprefix --old-file=,bootstrap venv build install pythons) lint fleet unit integration long storages interop sanity molecule unit-3.9 faults units $(addprefix unit-,$(filter-out 3.9,$(TESTED))) importer docs browser

lint: venv ## formats, types, docs, YAML, shell
	python tools/lint.py

unit: venv ## the runner's unit tests but the long ones, with coverage
	tools/unit.sh

long: venv ## the runner's property tests with all their examples, and what else takes long
	tools/unit.sh long

units-all: $(addprefix unit-,$(PYTHONS) newest) ## the same on every other Python; make test takes the oldest, the newest and today's libraries
unit-%: venv pythons
	tools/unit.sh $*

pythons:
	@tools/pythons.sh build/pythons > /dev/null

units: venv pythons ## the modules' unit tests, by ansible-test
	tools/ansible_test.sh units units --venv --python "$$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')" tests/unit/plugins/

sanity: venv pythons ## ansible-test sanity
	tools/sanity.sh

sanity-all: $(addprefix sanity-,$(CORES)) ## ansible-test sanity with every supported ansible-core
sanity-%: venv pythons
	tools/sanity.sh $*

faults: venv bootstrap ## kills, broken disks, crowds, set clocks; what is skipped says why
	pytest -q -rs tests/faults --junitxml build/results/faults.xml

interop: install pythons ## the real freezer-agent restores our backups, and we restore its; its scheduler is adopted
	tools/interop.sh

browser: venv bootstrap ## the report of a fleet in Debian's Chromium; what is skipped says why
	tools/browser.sh

screenshots: venv bootstrap ## the pictures of the report in docs/images
	tools/browser.sh screenshots

storages: venv bootstrap ## every storage against a real server on this machine; what is skipped says why
	tools/storages.sh

integration: install ## the roles, the playbooks, the guides, the demo and the artifact on this machine
	pytest -q tests/integration --junitxml build/results/integration.xml

fleet: install bootstrap pythons ## five booted hosts over SSH; the playbooks with every other ansible-core
	tools/fleet.sh $(filter-out 2.19.%,$(CORES))

importer: build ## what Galaxy would say
	tools/venv.sh .venv/bin/python build/venvs/importer tests/requirements/importer.txt
	python tools/check.py galaxy-importer tools/importer.sh $(ARTIFACT)

docs: install ## the documentation as HTML in build/site: guides, reference, modules and roles; a warning is a failure
	tools/venv.sh .venv/bin/python build/venvs/docs tests/requirements/docs.txt
	PATH=$(CURDIR)/build/venvs/docs/bin:$$PATH python tools/check.py docs python tools/docs.py build/site

molecule: install bootstrap ## the role on booted hosts: install, upgrade, reboot, removal
	tools/molecule.sh

torture: faults sanity-all units-all ## the faults, new examples for the property tests, a thousand rounds of kills
	pytest -q -n auto --dist worksteal --hypothesis-profile search -p no:cacheprovider tests/unit/runner
	coldchain selftest --rounds 1000 --directory build

mutants: venv ## small changes of a package's code that its tests do not notice: make mutants PACKAGE=schedule
	tools/venv.sh .venv/bin/python build/venvs/mutants tests/requirements/mutants.txt
	build/venvs/mutants/bin/python tools/mutants.py $(PACKAGE) $(MUTANTS)

benchmarks: install ## figures: calendar, store, runner, modules
	for script in tests/benchmarks/*.py; do echo "== $$script"; PYTHONPATH=roles/runner/files python $$script; done

locks: venv ## renew the locked requirements
	tools/locks.sh

clean: ## remove everything that make has made
	[ ! -x build/bed/down ] || build/bed/down
	rm -rf .venv build .hypothesis .mypy_cache .ruff_cache .pytest_cache tests/output
	find roles plugins tests tools -name __pycache__ -type d -prune -exec rm -rf {} +
