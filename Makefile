PYTHON ?= python3
# Words separated by spaces; quote what has spaces in it. `make help` explains them.
export DAG OUT INCLUDE EXCLUDE REQUIREMENTS EXPLAIN BUNDLE BUNDLES UNPACK

.DEFAULT_GOAL := example
.PHONY: example bundle install test test-e2e soak compat fuzz lint bench profile parity clean help

# Make ends a name at a space: on the way <> stands for one, and in the names of rules a backslash before it.
space := $(subst ,, )
HERE := $(subst <>,$(space),$(dir $(subst $(space),<>,$(abspath $(subst $(space),<>,$(strip $(MAKEFILE_LIST)))))))
BUILD := $(HERE)build
rule = $(subst $(space),\ ,$(1))
MODULE := command -v $(firstword $(PYTHON)) >/dev/null || { echo 'error: PYTHON=$(PYTHON): there is no such program' >&2; exit 2; }; \
	exec env PYTHONPATH='$(HERE)' $(PYTHON) -c
# Another PYTHON has environments of its own.
OTHER := $(subst /,_,$(addprefix -,$(filter-out python3,$(firstword $(PYTHON)))))
TEST_ENV := $(BUILD)/test-env$(OTHER)
LINT_ENV := $(BUILD)/lint-env
FUZZ_ENV := $(BUILD)/fuzz-env$(OTHER)
TESTS ?= tests
ARGS ?=
FUZZ_SECONDS ?= 60
AIRFLOWS ?= 3.3.0 3.3.1 3.3.2

example:  ## Build and list the Dag files beside the module, or an example when there is none
	@$(MODULE) 'import coordinator_bundle as b; raise SystemExit(b.build_example())'

bundle:  ## Freeze Dag files: make bundle DAG=my_dag.py [OUT=path] [INCLUDE=path] [REQUIREMENTS=file] [EXPLAIN=1]
	@$(MODULE) 'import coordinator_bundle as b; raise SystemExit(b.build_main())'

install:  ## Freeze and put where Airflow looks: make install BUNDLES=folder DAG=my_dag.py, or BUNDLE=dist/my_dag [UNPACK=1]
	@$(MODULE) 'import coordinator_bundle as b; raise SystemExit(b.install_main())'

test: $(call rule,$(TEST_ENV))/complete  ## Run the tests: make test [TESTS=tests/test_framing.py] [ARGS="-x -k word"]
	@cd '$(HERE)' && PYTHON='$(PYTHON)' '$(TEST_ENV)/bin/python' -m pytest -q -n logical --maxprocesses 4 \
	--dist loadfile $(TESTS) $(ARGS)

test-e2e: $(call rule,$(TEST_ENV))/complete  ## Run a whole Airflow with a Dag beside its frozen copy
	@cd '$(HERE)' && PYTHON='$(PYTHON)' '$(TEST_ENV)/bin/python' -m pytest -q -m e2e tests $(ARGS)

soak: $(call rule,$(TEST_ENV))/complete  ## Run the tests that take minutes: make soak [ARGS="-k signal"]
	@cd '$(HERE)' && PYTHON='$(PYTHON)' '$(TEST_ENV)/bin/python' -m pytest -q tests/soak*.py $(ARGS)

compat: $(AIRFLOWS:%=$(call rule,$(BUILD))/compat-%$(OTHER)/complete)  ## Run the same bundles under each Airflow: AIRFLOWS="3.3.0 3.3.1"
	@cd '$(HERE)' && for airflow in $(AIRFLOWS); do echo "under Airflow $$airflow"; PYTHON='$(PYTHON)' \
	'$(BUILD)/compat-'$$airflow'$(OTHER)/bin/python' -m pytest -q tests/test_airflow.py $(ARGS) || exit 1; done

fuzz: $(call rule,$(FUZZ_ENV))/complete  ## Let a fuzzer at every reader of foreign bytes: make fuzz [FUZZ_SECONDS=60] each
	@cd '$(HERE)' && FUZZ_SECONDS='$(FUZZ_SECONDS)' '$(FUZZ_ENV)/bin/python' tests/fuzz.py $(ARGS)

lint: $(call rule,$(LINT_ENV))/complete  ## Check style and types
	@cd '$(HERE)' && '$(LINT_ENV)/bin/ruff' check . && '$(LINT_ENV)/bin/mypy'

bench: $(call rule,$(TEST_ENV))/complete  ## Measure against Airflow's own runner, side by side
	@cd '$(HERE)' && '$(TEST_ENV)/bin/python' tests/bench/bench.py $(ARGS)

profile: $(call rule,$(TEST_ENV))/complete  ## Show where a start goes, phase by phase: make profile [ARGS="--runs 100"]
	@cd '$(HERE)' && '$(TEST_ENV)/bin/python' tests/bench/phases.py $(ARGS)

parity: $(call rule,$(TEST_ENV))/complete  ## Compare serialised Dags with Airflow's, field by field: make parity [ARGS=FILE]
	@cd '$(HERE)' && '$(TEST_ENV)/bin/python' tests/parity.py --all $(ARGS)

clean:  ## Remove everything that was built, environments too
	@rm -rf '$(BUILD)' '$(HERE)dist' '$(HERE)__pycache__' '$(HERE)tests/__pycache__'

.DEFAULT:
	@echo "error: there is no target or file '$@'; make help lists the targets" >&2; exit 2

help:  ## Show this
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' '$(HERE)Makefile'
	@echo
	@echo '  DAG           one Dag file or several: DAG="a.py b.py"'
	@echo '  OUT           the executable to write; dist/<name of the first file> if not given'
	@echo '  INCLUDE       more files or folders to take along: code from elsewhere, data of unusual kinds'
	@echo '  EXCLUDE       files, folders or patterns like "*.csv" whose data is not to be taken along'
	@echo '  REQUIREMENTS  a requirements file, besides what Dag files declare in a "# /// script" block'
	@echo '  EXPLAIN=1     say what makes the bundle large and its starts slow'
	@echo '  BUNDLES       the folder of `executables_root` that make install puts bundles into'
	@echo '  BUNDLE        built bundles to install as they are, in place of DAG'
	@echo '  UNPACK=1      install in the form that starts quickest: the executable, and a folder of what it would extract'
	@echo '  PYTHON        the Python to build with and to freeze, 3.10 or newer: PYTHON=python3.12'

$(call rule,$(TEST_ENV))/complete: $(call rule,$(HERE))tests/requirements.txt
	@$(call environment,$(TEST_ENV),tests/requirements.txt)

$(call rule,$(LINT_ENV))/complete: $(call rule,$(HERE))tests/requirements-lint.txt
	@$(call environment,$(LINT_ENV),tests/requirements-lint.txt)

$(call rule,$(FUZZ_ENV))/complete: $(call rule,$(HERE))tests/requirements-fuzz.txt
	@$(call environment,$(FUZZ_ENV),tests/requirements-fuzz.txt)

$(call rule,$(BUILD))/compat-%$(OTHER)/complete: $(call rule,$(HERE))tests/requirements.txt
	@mkdir -p '$(BUILD)' && sed -e 's/^apache-airflow==.*/apache-airflow==$*/' -e '/^apache-airflow-task-sdk==/d' \
	'$(HERE)tests/requirements.txt' > '$(BUILD)/requirements-$*.txt'
	@$(call environment,$(BUILD)/compat-$*$(OTHER),$(BUILD)/requirements-$*.txt)

# A virtual environment with what a requirements file names, new when the file or the Python changes; the mark comes last.
# What pip or uv say is shown when they fail.
define environment
cd '$(HERE)' && rm -rf '$(1)' && mkdir -p '$(BUILD)' && echo 'installing $(2)' && \
{ { $(PYTHON) -m venv '$(1)' && '$(1)/bin/python' -m pip install -r '$(2)'; } >'$(1).log' 2>&1 || \
{ uv venv --clear --python '$(PYTHON)' '$(1)' && uv pip install --python '$(1)/bin/python' -r '$(2)'; } >>'$(1).log' 2>&1 || \
{ tail -n 20 '$(1).log'; exit 1; }; } && touch '$(1)/complete'
endef
