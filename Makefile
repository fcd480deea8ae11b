# Bootstraps: system packages, the virtual environment, tox. tox.ini holds the environments.
PYTHON ?= python3
VENV := .venv
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)
PACKAGES := $(shell sed -e 's/\#.*//' packages.txt)

.PHONY: matrix test system clean

matrix: $(VENV)/.ready
	$(VENV)/bin/tox run -q -e matrix

test: $(VENV)/.ready
	$(VENV)/bin/tox run -q -e lint,unit,guest

# Only what is missing is installed, so that a machine that has all needs neither root nor network.
system:
	@for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	[ -z "$$missing" ] || { echo "installing:$$missing" && $(SUDO) apt-get update -qq && \
	  $(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $$missing >/dev/null; }

$(VENV)/.ready: packages.txt pyproject.toml | system
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install -q --upgrade pip
	$(VENV)/bin/python -m pip install -q --no-compile -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) .tox
