# Every target runs in .venv, which `make setup` creates; the other targets run it first.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-runs test-nights test-scale test-train test-workers test-tune test-flink test-browser test-service test-deploy test-kubeflow test-airflow test-image test-docs docs bench-pairs bench-train bench-service bench-gallery fuzz audit quality quality-table lint format lock build image clean

# Without byte code, importing TFX takes half a minute each time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
FLINK := .tools/flink/job-server.jar
TORCH := .tools/torch
FUZZ := .tools/fuzz
AUDIT := .tools/audit
MANIFEST_TOOLS := .tools/manifests
IMAGE_TOOLS := .tools/image
DOCS_TOOLS := .tools/docs
AIRFLOW := .tools/airflow

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## Create or update .venv from requirements.lock
	@deploy/setup.sh

demo: setup ## Train, evaluate and push a model on 1,888 MNIST digits, into demo/
	$(PYTHON) pipeline/examples/mnist_digits.py demo/data/digits
	.venv/bin/diptych run pipeline/examples/mnist.yaml --root demo

test: setup ## Run the tests, except the slower suites below
	$(PYTHON) -m pytest

test-runs: setup ## Test complete runs on each kind of data, and on images of unseen classes
	$(PYTHON) -m pytest tests/runs

test-nights: setup ## Test two weeks of nightly runs: a kill in each step, rollbacks, pruning
	$(PYTHON) -m pytest tests/nights

test-tune: setup ## Test a search on Ray Tune that is killed and resumed
	$(PYTHON) -m pytest tests/tuning

test-scale: setup ## Test PairGen on millions of skewed examples, and Beam worker processes
	$(PYTHON) -m pytest tests/engines/test_portable.py tests/engines/test_embed_portable.py tests/scale

test-train: setup ## Test that every loss and setting learns, and that training resumes
	$(PYTHON) -m pytest tests/training

test-workers: setup ## Test training on Ray workers: equal results, killed workers, a cluster
	$(PYTHON) -m pytest tests/workers

test-flink: setup $(FLINK) ## Test the Beam steps on a Flink cluster (needs Java 17 and Maven), and for Dataflow
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PYTHON) -m pytest tests/engines/test_flink.py tests/engines/test_dataflow.py

test-browser: setup ## Test the report and the pages in Chromium, without network
	deploy/chromium.sh
	$(PYTHON) -m pytest tests/browser

$(FLINK): tests/engines/pom.xml
	mvn --quiet --batch-mode --strict-checksums --file $< package
	touch $@

test-service: setup ## Test diptych serve as a user starts it, and its page in Chromium
	@deploy/chromium.sh
	$(PYTHON) -m pytest tests/service

test-deploy: setup $(MANIFEST_TOOLS)/ready ## Test manifests, alerts and units without a cluster (needs kubectl, promtool, systemd-analyze)
	@deploy/manifest-tools.sh
	$(PYTHON) -m pytest tests/deploy

# A separate environment: the tools that check manifests need other versions than TFX.
$(MANIFEST_TOOLS)/ready: deploy/manifest-tools.lock
	rm -rf $(MANIFEST_TOOLS)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(MANIFEST_TOOLS)
	VIRTUAL_ENV=$(MANIFEST_TOOLS) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

test-kubeflow: setup ## Test each step through the command of its Kubeflow container, without a cluster
	$(PYTHON) -m pytest tests/kubeflow

test-airflow: setup $(AIRFLOW)/ready ## Test nightly runs on Airflow 3, and the pods that it would start
	$(PYTHON) -m pytest tests/airflow

# A separate environment of 0.4 GB: Airflow and TFX need different versions of the same packages.
$(AIRFLOW)/ready: tests/airflow/requirements.txt
	rm -rf $(AIRFLOW)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(AIRFLOW)
	VIRTUAL_ENV=$(AIRFLOW) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

# An isolation and a network for machines on which a build can create neither.
test-image: build $(IMAGE_TOOLS)/ready ## Build the image with Podman, and test a run in it without capabilities or network
	$(IMAGE_TOOLS)/bin/hadolint deploy/Dockerfile
	@deploy/podman.sh
	tests/image/base.sh
	BUILDER=podman deploy/image.sh --isolation chroot --network host
	$(PYTHON) -m pytest tests/image

# A separate environment: the tools that build and check images conflict with the packages inside.
$(IMAGE_TOOLS)/ready: deploy/image-tools.lock
	rm -rf $(IMAGE_TOOLS)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(IMAGE_TOOLS)
	VIRTUAL_ENV=$(IMAGE_TOOLS) deploy/uv.sh pip sync --quiet --require-hashes $<
	touch $@

docs: setup $(DOCS_TOOLS)/ready ## Build the documentation site into build/site; a broken link is an error
	$(DOCS_TOOLS)/bin/zensical build --strict

test-docs: docs ## Run every command in README and docs as written
	$(PYTHON) -m pytest tests/docs

# A separate environment: the site generator only reads the sources of Diptych and needs none of its packages.
$(DOCS_TOOLS)/ready: deploy/docs-tools.lock
	rm -rf $(DOCS_TOOLS)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(DOCS_TOOLS)
	VIRTUAL_ENV=$(DOCS_TOOLS) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

# The benchmarks run from this folder, so that relative paths in ARGS mean what a user expects.
BENCH := PYTHONPATH=tests $(PYTHON) -m

bench-pairs: setup ## Draw pairs with PairGen and in four other ways, and compare (ARGS=--help)
	$(BENCH) benchmarks.pairs $(ARGS)

bench-train: setup $(TORCH)/ready ## Train with Diptych, a typical Keras script and PyTorch, and compare (ARGS=--help)
	$(BENCH) benchmarks.train $(ARGS)

bench-service: setup ## Measure the throughput of diptych serve and what limits it (ARGS=--help)
	$(BENCH) benchmarks.service $(ARGS)

bench-gallery: setup ## Fill and query galleries of 100,000 and of a million examples (ARGS=--help)
	$(BENCH) benchmarks.gallery $(ARGS)

# A separate environment of 4 GB: PyTorch comes with the libraries for a GPU.
$(TORCH)/ready: tests/benchmarks/train/requirements.txt
	rm -rf $(TORCH)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(TORCH)
	VIRTUAL_ENV=$(TORCH) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

fuzz: setup $(FUZZ)/ready ## Fuzz all that reads untrusted bytes, a minute per target (ARGS=--help)
	PYTHONPATH=tests:$(FUZZ) $(PYTHON) -m fuzz $(ARGS)

# Next to .venv instead of in an environment: the fuzzer runs in the process that it observes.
$(FUZZ)/ready: deploy/fuzz-tools.lock
	rm -rf $(FUZZ)
	deploy/uv.sh pip install --quiet --python $(PYTHON) --require-hashes --compile-bytecode --target $(FUZZ) -r $<
	touch $@

# One lock at a time: two of them may have different versions of a package. Without --strict, packages
# that cannot be looked up count as safe.
audit: setup $(AUDIT)/ready ## Look up all locked packages in PyPI's list of known vulnerabilities
	@failed=0; for lock in requirements.lock deploy/*.lock tests/airflow/requirements.txt tests/benchmarks/train/requirements.txt; do \
		echo "audit: $$lock"; \
		$(AUDIT)/bin/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $$lock || failed=1; \
	done; exit $$failed

$(AUDIT)/ready: deploy/audit-tools.lock
	rm -rf $(AUDIT)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(AUDIT)
	VIRTUAL_ENV=$(AUDIT) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

quality: setup ## Run the example configurations and compare with the expected metrics (ARGS=--help)
	$(BENCH) quality $(ARGS)

quality-table: setup ## Train every loss on every data set, and write the table in docs/quality.md
	$(BENCH) quality.losses $(ARGS)

lint: setup ## Check format, style and types
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

format: setup ## Format the code and apply automatic fixes
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lock: ## Update requirements.lock and the locks in deploy/ to the newest allowed versions
	@deploy/lock.sh

build: setup ## Build the wheel into dist/, for the image and remote workers
	rm -rf build/lib build/bdist.* dist
	$(PYTHON) -m build --wheel --no-isolation --outdir dist .
	rm -rf build/lib build/bdist.*

image: build ## Build the image diptych:VERSION with Docker or Podman (ARGS go to the build)
	deploy/image.sh $(ARGS)

clean: ## Remove build results and caches; keeps .venv and demo/
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -not -path './.tools/*' -prune -exec rm -rf {} +
