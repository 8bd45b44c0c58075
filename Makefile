# Everything runs in .venv, which `make setup` creates; the other targets call it first.
.DEFAULT_GOAL := help
.PHONY: help setup demo test test-runs test-nights test-scale test-train test-workers test-tune test-flink test-browser test-service test-deploy test-kubeflow test-airflow test-image bench-pairs bench-train bench-service bench-gallery quality quality-table lint format lock build image clean

# Without byte code, importing TFX takes half a minute each time.
unexport PYTHONDONTWRITEBYTECODE

PYTHON := .venv/bin/python
FLINK := .tools/flink/job-server.jar
TORCH := .tools/torch
MANIFEST_TOOLS := .tools/manifests
IMAGE_TOOLS := .tools/image
AIRFLOW := .tools/airflow

help: ## List the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' Makefile | expand -t 20

setup: ## Create or renew .venv from requirements.lock
	@deploy/setup.sh

demo: setup ## Train, evaluate and push a model on 5,000 MNIST digits, into demo/
	$(PYTHON) pipeline/examples/mnist_digits.py demo/data/digits
	.venv/bin/diptych run pipeline/examples/mnist.yaml --root demo

test: setup ## Run the tests
	$(PYTHON) -m pytest

test-runs: setup ## Test whole runs on each kind of data besides images, and on images of unseen classes
	$(PYTHON) -m pytest tests/runs

test-nights: setup ## Test two weeks of nights, with a kill in each step, a rollback and what else happens
	$(PYTHON) -m pytest tests/nights

test-tune: setup ## Test a search on Ray Tune that is killed and gone on with
	$(PYTHON) -m pytest tests/tuning

test-scale: setup ## Test PairGen on skewed data by the million, retrieval by the 100,000, and worker processes
	$(PYTHON) -m pytest tests/engines/test_portable.py tests/engines/test_embed_portable.py tests/scale

test-train: setup ## Test that every loss and setting learns, and goes on where it was cut off
	$(PYTHON) -m pytest tests/training

test-workers: setup ## Test training on Ray workers: as many as one, killed ones, and on a cluster
	$(PYTHON) -m pytest tests/workers

test-flink: setup $(FLINK) ## Test the Beam steps on a Flink cluster, with Java 17 and Maven, and for Dataflow
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

test-deploy: setup $(MANIFEST_TOOLS)/ready ## Test manifests, alerts and units, without a cluster; needs kubectl, promtool and systemd-analyze
	@deploy/manifest-tools.sh
	$(PYTHON) -m pytest tests/deploy

# An environment of its own: what checks manifests asks for other versions than TFX.
$(MANIFEST_TOOLS)/ready: deploy/manifest-tools.lock
	rm -rf $(MANIFEST_TOOLS)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(MANIFEST_TOOLS)
	VIRTUAL_ENV=$(MANIFEST_TOOLS) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

test-kubeflow: setup ## Test each step by the command of its container on Kubeflow, without a cluster
	$(PYTHON) -m pytest tests/kubeflow

test-airflow: setup $(AIRFLOW)/ready ## Test nights that Airflow 3 runs, and the pods that it would start
	$(PYTHON) -m pytest tests/airflow

# An environment of its own, of 0.4 GB: Airflow and TFX ask for other versions of the same packages.
$(AIRFLOW)/ready: tests/airflow/requirements.txt
	rm -rf $(AIRFLOW)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(AIRFLOW)
	VIRTUAL_ENV=$(AIRFLOW) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

# An isolation and a network for machines where a build may make neither.
test-image: build $(IMAGE_TOOLS)/ready ## Build the image with Podman, and test a run in it, with no rights and no network
	$(IMAGE_TOOLS)/bin/hadolint deploy/Dockerfile
	@deploy/podman.sh
	tests/image/base.sh
	BUILDER=podman deploy/image.sh --isolation chroot --network host
	$(PYTHON) -m pytest tests/image

# An environment of its own: what makes and checks images does not go with what is in them.
$(IMAGE_TOOLS)/ready: deploy/image-tools.lock
	rm -rf $(IMAGE_TOOLS)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(IMAGE_TOOLS)
	VIRTUAL_ENV=$(IMAGE_TOOLS) deploy/uv.sh pip sync --quiet --require-hashes $<
	touch $@

bench-pairs: setup ## Draw pairs with PairGen and in four other ways, and compare (ARGS=--help tells how)
	cd tests && ../$(PYTHON) -m benchmarks.pairs $(ARGS)

bench-train: setup $(TORCH)/ready ## Train with Diptych, with a usual Keras script and with PyTorch, and compare
	cd tests && ../$(PYTHON) -m benchmarks.train $(ARGS)

bench-service: setup ## Ask diptych serve as fast as it goes, and tell what limits it (ARGS=--help)
	cd tests && ../$(PYTHON) -m benchmarks.service $(ARGS)

bench-gallery: setup ## Fill galleries of a hundred thousand and a million examples, and ask them
	cd tests && ../$(PYTHON) -m benchmarks.gallery $(ARGS)

# An environment of its own, of 4 GB: PyTorch comes with the libraries for a GPU.
$(TORCH)/ready: tests/benchmarks/train/requirements.txt
	rm -rf $(TORCH)
	deploy/uv.sh venv --quiet --python $(PYTHON) $(TORCH)
	VIRTUAL_ENV=$(TORCH) deploy/uv.sh pip sync --quiet --require-hashes --compile-bytecode $<
	touch $@

quality: setup ## Run the example configurations and compare with what is expected (ARGS=--help)
	cd tests && ../$(PYTHON) -m quality $(ARGS)

quality-table: setup ## Train every loss on every data set, and write the table in docs/quality.md
	cd tests && ../$(PYTHON) -m quality.losses $(ARGS)

lint: setup ## Check format, style and types
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m ruff check .
	$(PYTHON) -m mypy

format: setup ## Format the code and fix what can be fixed
	$(PYTHON) -m ruff format .
	$(PYTHON) -m ruff check --fix .

lock: ## Renew requirements.lock and deploy/image-tools.lock with the newest allowed versions
	@deploy/lock.sh

build: setup ## Build the wheel into dist/, for the image and remote workers
	rm -rf build dist
	$(PYTHON) -m build --wheel --no-isolation --outdir dist .
	rm -rf build

image: build ## Build the image diptych:VERSION with Docker or Podman (ARGS go to the build)
	deploy/image.sh $(ARGS)

clean: ## Remove what was built, and the caches; keeps .venv and demo/
	rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -not -path './.tools/*' -prune -exec rm -rf {} +
