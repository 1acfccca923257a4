# `make run` starts the server, `make test` checks it; both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JAVASCRIPT_SDK := tests/end_to_end/javascript_sdk
# mypy takes files that are all named model.py one at a time.
MODELS := $(wildcard model_repository/*/1/model.py embedded/backends/*/model.py)

.PHONY: run test test-faults test-full-size check format lock image-locks venv javascript-sdk perf-analyzer results sbom licences audit
run: venv
	@exec $(BIN)/upscale serve

test: javascript-sdk perf-analyzer check
	$(BIN)/python -m pytest

# What breaks the running server on purpose, the long cases and the half hour of mixed load too.
test-faults: venv
	$(BIN)/python -m pytest tests/faults -m "long or not long"

# The x4 upscaler's own sizes with random weights, exported and served: 15 minutes, 12 GB of memory.
test-full-size: venv
	$(BIN)/python -m pytest -s tests/benchmarks/test_full_size.py -m "long or not long"

check: venv
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy cli client gateway stages export embedded demo benchmarks tests --exclude embedded/backends
	@for model in $(MODELS); do echo "mypy $$model"; $(BIN)/mypy $$model || exit 1; done

format: venv
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

venv: $(VENV)/installed
$(VENV)/installed: requirements.txt requirements-torch.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(v not in ((3, 11), (3, 12)) and f"Python 3.11 or 3.12 is needed; {sys.executable} is {v[0]}.{v[1]}. Name one: make PYTHON=python3.12")'
	@echo "Setting up $(VENV): a few minutes, once."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-torch.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# The JavaScript client that a test calls; npm writes the file after everything else.
javascript-sdk: $(JAVASCRIPT_SDK)/node_modules/.package-lock.json
$(JAVASCRIPT_SDK)/node_modules/.package-lock.json: $(JAVASCRIPT_SDK)/package-lock.json
	@command -v npm >/dev/null || { echo "The tests need Node.js 20 or newer with npm, which is not on the PATH."; exit 1; }
	@cd $(JAVASCRIPT_SDK) && npm ci --no-audit --no-fund
	@touch $@

# NVIDIA's load generator, which `upscale bench triton` finds there. No later wheel has it; the two
# libraries that it needs are in Triton's own wheel.
perf-analyzer: .perf_analyzer/installed
.perf_analyzer/installed: $(VENV)/installed
	@rm -rf .perf_analyzer && mkdir -p .perf_analyzer/lib
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile \
		--target .perf_analyzer tritonclient==2.50.0
	@ln -s $(CURDIR)/$(VENV)/lib/python3.*/site-packages/nvidia_pytriton.libs/libb64-*.so.0d .perf_analyzer/lib/libb64.so.0d
	@ln -s $(CURDIR)/$(VENV)/lib/python3.*/site-packages/nvidia_pytriton.libs/libcudart-*.so.12.* .perf_analyzer/lib/libcudart.so.12
	@touch $@

# Measure everything in benchmarks/RESULTS.md anew; best on a machine that does nothing else.
results: venv perf-analyzer
	@for name in triton http peer request growth; do \
		$(BIN)/upscale bench $$name --record >/dev/null || exit 1; done

# Write requirements.txt anew from pyproject.toml's ranges, with hashes. torch is pinned
# beside; of nvidia-pytriton only the server is needed, so it comes without its dependencies.
lock: venv
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --upgrade --strip-extras --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --extra stages --extra export --extra embedded \
		--extra bench --extra dev --output-file .pins pyproject.toml
	{ grep '==' .pins | grep -v '^torch=='; echo nvidia-pytriton==0.7.0; } \
		| $(BIN)/uv pip compile --quiet --no-deps --no-header --no-annotate --generate-hashes \
		--python-version 3.11 -o requirements.txt -
	rm .pins

# Write the locks of docker/: what each image installs, with hashes, for Python 3.12, at the versions
# that are installed here. The stages alone need no more than their own extra.
COMPILE := $(BIN)/uv pip compile --quiet --upgrade --no-header --no-annotate --generate-hashes \
	--python-version 3.12 --python-platform x86_64-manylinux_2_28
CONSTRAINED := $(COMPILE) --constraint requirements.txt --constraint requirements-torch.txt
EXTRA := import tomllib; p = tomllib.load(open("pyproject.toml", "rb"));
image-locks: venv
	$(CONSTRAINED) -o docker/requirements-gateway.txt pyproject.toml
	$(CONSTRAINED) -o docker/requirements-export.txt --extra export pyproject.toml
	$(BIN)/python -c '$(EXTRA) print(*p["project"]["optional-dependencies"]["stages"], sep="\n")' \
		| $(CONSTRAINED) -o docker/requirements-triton.txt -
	$(BIN)/python -c '$(EXTRA) print(*p["build-system"]["requires"], sep="\n")' \
		| $(COMPILE) -o docker/requirements-build.txt -

# What is installed, for those who must know: `make sbom` writes CycloneDX files, one of this
# environment with licences and one of each image with hashes; `make licences` the table of the images'
# licences; `make audit` asks the Python advisory database for known vulnerabilities of the images.
# The tools run in environments of their own, so that they do not list themselves.
SBOM := sbom
LOCKS := $(wildcard docker/requirements-*.txt)
CYCLONEDX := PYTHONWARNINGS=ignore $(BIN)/uvx --quiet --from cyclonedx-bom==7.5.0 cyclonedx-py
SBOM_OPTIONS := --pyproject pyproject.toml --output-reproducible --of JSON
sbom: venv
	@mkdir -p $(SBOM)
	$(CYCLONEDX) environment $(SBOM_OPTIONS) -o $(SBOM)/environment.cdx.json $(BIN)/python
	@for lock in $(LOCKS); do \
		name=$${lock#docker/requirements-}; \
		$(CYCLONEDX) requirements $(SBOM_OPTIONS) -o $(SBOM)/$${name%.txt}.cdx.json $$lock || exit 1; done

licences: venv
	@{ echo '# Licences'; echo; \
	echo 'Of what the images install, as the packages declare it; `make licences` writes this anew.'; \
	echo 'The CUDA libraries, which PyTorch brings along where there is a GPU, and the images of Triton'; \
	echo 'and TensorRT are under the licences of NVIDIA.'; echo; \
	$(BIN)/uvx --quiet pip-licenses==5.5.5 --with-system --python $(BIN)/python --format markdown --packages \
		$$(sed -n 's/^\([A-Za-z][^=]*\)==.*/\1/p' $(LOCKS) | sort -u); } > docs/licences.md

audit: venv
	@status=0; for lock in $(LOCKS); do echo "$$lock"; \
		$(BIN)/uvx --quiet pip-audit==2.10.1 --strict --disable-pip -r $$lock || status=1; done; exit $$status
