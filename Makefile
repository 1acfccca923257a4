# `make run` starts the server, `make test` checks it; both set up .venv first, once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JAVASCRIPT_SDK := tests/end_to_end/javascript_sdk
# How many files of tests run at once; each worker starts the servers that its files need, once. On two
# cores four take 0.85 of the time of two, since tests wait for half of it.
WORKERS ?= 2
# What pytest is to print or to run beside, as `make test TESTS=--durations=10`.
TESTS ?=
# Where Python may not keep what it has compiled, each process compiles torch and diffusers anew: 9 s.
unexport PYTHONDONTWRITEBYTECODE
# mypy takes files that are all named model.py one at a time.
MODELS := $(wildcard model_repository/*/1/model.py embedded/backends/*/model.py)

.PHONY: run test repositories test-long test-faults test-training test-full-size check-images check format lock image-locks venv venv-test javascript-sdk perf-analyzer results sbom licences audit \
	check-alerts images compose-drill cluster-test
run: venv
	@exec $(BIN)/upscale serve

test: javascript-sdk perf-analyzer venv-test
	@$(MAKE) --no-print-directory --jobs 2 check repositories
	$(BIN)/python -m pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder $(TESTS)

# What the tests serve; see tests/repositories.py.
repositories: venv-test
	@$(BIN)/python -m tests.repositories

# What `make test` leaves out: hours, one test at a time. Before a release, and when what it covers
# has changed.
test-long: venv-test javascript-sdk perf-analyzer
	$(BIN)/python -m pytest -m "long or images or training" $(TESTS)

# What the images install, held against package registries; when a lock or a Dockerfile has changed.
check-images: venv-test
	$(BIN)/python -m pytest -m images $(TESTS)

# What breaks the running server on purpose, the long cases and the half hour of mixed load too.
test-faults: venv-test
	$(BIN)/python -m pytest tests/faults -m "long or not long"

# What made the demo model; run it when demo/training/ changes.
test-training: venv-test
	$(BIN)/python -m pytest tests/demo -m training

# The x4 upscaler's own sizes with random weights, exported and served: 6 minutes, 12 GB of memory.
test-full-size: venv-test
	$(BIN)/python -m pytest -s tests/benchmarks/test_full_size.py -m "long or not long"

check: venv-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy build_backend.py cli client doctor gateway stages export embedded demo benchmarks tests --exclude embedded/backends
	@printf '%s\n' $(MODELS) | xargs -n 1 -P 2 $(BIN)/mypy

format: venv-test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# What `make run` needs, and in `venv-test` what the tests, the checks and the benchmarks need besides.
# uv takes a third of pip's time. torch comes by pip, from the index that pip is set up with, since which
# of its builds suits a machine depends on the GPU: the default one for Linux brings gigabytes of CUDA
# libraries along; TORCH_BACKEND=cpu takes PyTorch's own build for the CPU instead.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
UV := $(BIN)/uv
SUITS := import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))
UV_PIP := $(UV) pip install --quiet --python $(BIN)/python
venv: $(VENV)/installed
$(VENV)/installed: requirements.txt requirements-uv.txt requirements-torch.txt pyproject.toml
	@echo "Setting up $(VENV): about a minute, once."
	@for python in $(PYTHON) python3.12 python3.11; do \
		if "$$python" -c '$(SUITS)' 2>/dev/null; then exec "$$python" -m venv $(VENV); fi; done; \
	echo "$(PYTHON) is neither Python 3.11 nor 3.12: uv brings a 3.12."; \
	$(PYTHON) -m venv .cache/uv && .cache/uv/bin/python -m pip install --quiet --require-hashes \
		--disable-pip-version-check -r requirements-uv.txt && \
	.cache/uv/bin/uv venv --quiet --clear --seed --python 3.12 $(VENV) || { \
	echo "No Python 3.11 or 3.12 could be had. Install one, or name it: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PIP) --require-hashes -r requirements-uv.txt
	@$(UV_PIP) --no-deps --require-hashes -r requirements.txt
	@$(if $(TORCH_BACKEND),$(UV_PIP) --torch-backend $(TORCH_BACKEND),$(PIP)) -r requirements-torch.txt
	@$(UV_PIP) --no-deps --no-build-isolation -e .
	@touch $@

venv-test: $(VENV)/installed-test
$(VENV)/installed-test: $(VENV)/installed requirements-test.txt
	@$(UV_PIP) --no-deps --require-hashes -r requirements-test.txt
	@touch $@

# The JavaScript client that a test calls, and axe-core, which looks the page over; npm writes the file after everything else.
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
results: venv-test perf-analyzer
	@for name in triton http peer request growth; do \
		$(BIN)/upscale bench $$name --record >/dev/null || exit 1; done

# Write the locks of the virtual environment from pyproject.toml's ranges, with hashes: of what runs,
# and of what only tests need, at versions that fit. Versions that are in their ranges still are kept;
# `make lock UPGRADE=--upgrade` takes the newest. torch is pinned beside, so the CUDA libraries of its
# default build are left out; of nvidia-pytriton only the server is needed, so it comes without its
# dependencies.
COMPILE := $(UV) pip compile --quiet --no-config --no-header --no-annotate
RESOLVE := $(COMPILE) --python-version 3.11 $(UPGRADE) -o .lock pyproject.toml
HASH := $(COMPILE) --python-version 3.11 --no-deps --generate-hashes
RUN := --extra stages --extra export --extra embedded
NOT_TORCH := grep -vE '^(torch==|triton==|cuda-|nvidia-[^m])'
lock: venv
	echo 'uv>=0.9' | $(HASH) $(UPGRADE) -o requirements-uv.txt -
	cat requirements.txt requirements-test.txt > .lock
	$(RESOLVE) $(RUN)
	{ $(NOT_TORCH) .lock; echo nvidia-pytriton==0.7.0; } | $(HASH) -o requirements.txt -
	cat requirements-test.txt >> .lock
	$(RESOLVE) $(RUN) --extra bench --extra dev --constraint requirements.txt --constraint requirements-uv.txt
	sed -n 's/^\([^ ]*\) \\$$/\1/p' requirements.txt requirements-uv.txt > .run
	$(NOT_TORCH) .lock | grep -vxFf .run | $(HASH) -o requirements-test.txt -
	rm .lock .run

# Write the locks of docker/: what each image installs, with hashes, for Python 3.12, at the versions
# that are installed here. The stages alone need no more than their own extra. Of PyTorch's libraries
# NVIDIA's containers have all but those of three small packages; its compiler only the export needs.
IMAGE := $(COMPILE) $(UPGRADE) --generate-hashes --python-version 3.12 --python-platform x86_64-manylinux_2_28
CONSTRAINED := $(IMAGE) --constraint requirements.txt --constraint requirements-torch.txt
NVIDIA_HAS := cuda-toolkit $(addprefix nvidia-,cublas cuda-cupti cuda-nvrtc cuda-runtime cudnn-cu13 \
	cufft curand cusolver cusparse nccl-cu13 nvjitlink nvtx)
IN_NVIDIAS := $(CONSTRAINED) $(addprefix --no-emit-package ,$(NVIDIA_HAS))
EXTRA := import tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	extras = p["project"]["optional-dependencies"];
image-locks: venv
	$(CONSTRAINED) -o docker/requirements-gateway.txt pyproject.toml
	$(IN_NVIDIAS) -o docker/requirements-export.txt --extra export pyproject.toml
	$(BIN)/python -c '$(EXTRA) print(*extras["stages"], *extras["gpu"], sep="\n")' \
		| $(IN_NVIDIAS) --no-emit-package triton -o docker/requirements-triton.txt -
	$(BIN)/python -c '$(EXTRA) print(*p["build-system"]["requires"], sep="\n")' \
		| $(IMAGE) -o docker/requirements-build.txt -

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
	echo 'and TensorRT are under the licences of NVIDIA. onnxruntime-gpu is under that of onnxruntime.'; echo; \
	$(BIN)/uvx --quiet pip-licenses==5.5.5 --with-system --python $(BIN)/python --format markdown --packages \
		$$(sed -n 's/^\([A-Za-z][^=]*\)==.*/\1/p' $(LOCKS) | sort -u); } > docs/licences.md

audit: venv
	@status=0; for lock in $(LOCKS); do echo "$$lock"; \
		$(BIN)/uvx --quiet pip-audit==2.10.1 --strict --disable-pip -r $$lock || status=1; done; exit $$status

# The alerts, read and tried by Prometheus' own promtool (Debian: prometheus).
check-alerts: venv
	$(BIN)/python -m pytest tests/deploy/test_alerts.py

# Before a release, by hand and as root: build all three images on bases made here, without Docker;
# bring docker/compose.yaml up with them; install the chart with them in the cluster of KUBECONFIG, by
# way of REGISTRY. They need Debian's buildah, podman, runc, netavark, aardvark-dns and debootstrap, and
# keep what they make in .images.
images: venv
	$(BIN)/python -m tests.deploy.images

compose-drill: venv
	$(BIN)/python -m tests.deploy.compose_drill

cluster-test: venv
	$(BIN)/python -m tests.deploy.cluster_drill
